/* What every VPN without offload does at least: packets from a TUN device to a UDP socket and back, one at a time.
   usage: copy DEVICE LOCAL REMOTE PORT */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void check(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static char packet[65536];
	if (argc != 5)
		return 2;

	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	strncpy(request.ifr_name, argv[1], IFNAMSIZ - 1);
	int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	check(tun, "/dev/net/tun");
	check(ioctl(tun, TUNSETIFF, &request), argv[1]);

	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in end = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[4])) };
	int room = 8 << 20;
	setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	setsockopt(udp, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	inet_pton(AF_INET, argv[2], &end.sin_addr);
	check(bind(udp, (struct sockaddr *)&end, sizeof end), "bind");
	inet_pton(AF_INET, argv[3], &end.sin_addr);
	check(connect(udp, (struct sockaddr *)&end, sizeof end), "connect");
	fprintf(stderr, "ready\n");

	struct pollfd waits[2] = { { .fd = tun, .events = POLLIN }, { .fd = udp, .events = POLLIN } };
	while (poll(waits, 2, -1) >= 0) {
		for (int way = 0; way < 2; way++) {
			if (!waits[way].revents)
				continue;
			/* A batch, so that the other way has its turn. */
			for (int count = 0; count < 64; count++) {
				ssize_t len = read(waits[way].fd, packet, sizeof packet);
				if (len <= 0)
					break;
				/* What is not taken is lost. */
				if (write(waits[!way].fd, packet, len) < 0)
					continue;
			}
		}
	}
	return 1;
}
