mod encapsulators;
mod policy;
mod templates;

pub fn call(buffer: &mut [u8]) {
    policy::call();
    encapsulators::call(buffer);
    templates::call(buffer);
}
