//! What a panic calls: a function that is defined nowhere.

use core::panic::PanicInfo;

unsafe extern "C" {
    fn ipencap_can_panic() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: never executed: a program that contains this call cannot be linked.
    unsafe { ipencap_can_panic() }
}
