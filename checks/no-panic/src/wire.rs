mod flags;
mod ipv4;
mod small;
mod transport;
mod tunnel;

pub fn call(buffer: &mut [u8]) {
    small::call();
    flags::call();
    ipv4::call(buffer);
    transport::call(buffer);
    tunnel::call(buffer);
}
