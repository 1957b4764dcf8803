mod access;
mod receivers;
mod tables;
mod verdict;

pub fn call(buffer: &mut [u8]) {
    access::call();
    tables::call();
    receivers::call(buffer);
    verdict::call(buffer);
}
