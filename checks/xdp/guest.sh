# Runs in the guest of the virtual machine, as root.
uname -r
chmod 755 ipencap-xdp-check
exec ./ipencap-xdp-check xdp kernel
