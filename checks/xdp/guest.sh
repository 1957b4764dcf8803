# Runs in the guest of the virtual machine, as root.
uname -r
chmod 755 ipencap-xdp-check
# An emulated processor is slow.
export IPENCAP_XDP_PACKETS=400000
exec ./ipencap-xdp-check xdp kernel
