mod access;
mod receivers;
mod verdict;

pub fn call(buffer: &mut [u8]) {
    access::call();
    receivers::call(buffer);
    verdict::call(buffer);
}
