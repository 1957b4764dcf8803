"""Runs in the guest, as root: puts each packet on the wire in front of the kernel's tunnels, byte for byte, and
writes down what its devices deliver, what its router sends on, and what it answers."""
from orc import *

OUT = os.environ['OUT']
sh('modprobe -a veth ipip fou ip_gre')
MAC = topo()
ipb('A', ['addr add 192.0.2.130/24 dev a0'])
FRAME = MAC['a0'] + MAC['w0'] + b'\x08\0'
SENDER, WIRE, HOST = txsock('W', True), cap('W', 'w0'), cap('S', 's0')
DEVICES = 't0 t1 g0 g1'.split()
devices = {}


def ip_packets(frames):
    return [frame[14:].hex() for frame, kind in frames if kind != 4 and frame[12:14] == b'\x08\0']


answers = open(OUT + '/answers.jsonl', 'w')
print('kernel', os.uname().release, os.uname().version)
for line in map(json.loads, open('packets.jsonl')):
    if 'setup' in line:
        for capture in devices.values():
            capture.close()
        sh('for d in %s; do ip -n A link del $d; done; ip -n A fou del port 5555' % ' '.join(DEVICES), check=False)
        for command in line['setup']:
            done = sh('ip -n A ' + command)
            if done.returncode:
                sys.exit(1)
        for device in DEVICES:
            sysctl('A', f'net.ipv4.conf.{device}.rp_filter', 0)
        devices = {device: cap('A', device) for device in DEVICES}
        wait([WIRE, HOST] + list(devices.values()))
        continue
    SENDER.sendto(FRAME + bytes.fromhex(line['packet']), ('w0', ETH_P_IP))
    got = wait([WIRE, HOST] + list(devices.values()), first=0.05)
    # In the order in which the packet passes them, the outermost first.
    delivered = {d: [p.hex() for p, kind in got[s] if kind != 4] for d, s in devices.items()}
    answers.write(json.dumps({
        'delivered': {d: p for d, p in delivered.items() if p},
        'forwarded': ip_packets(got[HOST]),
        'wire': ip_packets(got[WIRE]),
    }, separators=(',', ':')) + '\n')
answers.close()
