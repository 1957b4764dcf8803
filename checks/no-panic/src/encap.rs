mod decapsulators;
mod encapsulators;
mod policy;
mod templates;
mod verdict;

pub fn call(buffer: &mut [u8]) {
    policy::call();
    encapsulators::call(buffer);
    templates::call(buffer);
    decapsulators::call(buffer);
    verdict::call(buffer);
}
