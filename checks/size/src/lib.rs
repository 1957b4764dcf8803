//! What the programs have in common: nothing to start, and nobody to tell of a panic, which none has.

#![no_std]

/// The entry of a program: what it measures, with arguments that nobody knows at compile time.
#[macro_export]
macro_rules! entry {
    (|$($argument:ident: $Type:ty),*| $body:expr) => {
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            loop {}
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn _start($($argument: $Type),*) -> usize {
            $body
        }
    };
}

/// The control's kilobyte, else nothing.
#[inline(never)]
pub fn planted(seed: usize) -> usize {
    #[cfg(feature = "plant-bytes")]
    {
        let mut sum = seed;
        macro_rules! times_4 {
            ($step:expr) => {
                $step;
                $step;
                $step;
                $step;
            };
        }
        times_4!({
            times_4!({
                times_4!({
                    sum = core::hint::black_box(sum).rotate_left(3) ^ 0x1234_5678;
                });
            });
        });
        sum
    }
    #[cfg(not(feature = "plant-bytes"))]
    seed
}
