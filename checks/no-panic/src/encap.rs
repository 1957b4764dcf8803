mod policy;
mod tunnels;

pub fn call(buffer: &mut [u8]) {
    policy::call();
    tunnels::call(buffer);
}
