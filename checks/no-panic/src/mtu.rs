use core::hint::black_box;

use ipencap::mtu::{self, Efficiency, Overhead};

use crate::given::{byte, double_word, size};
use crate::helper::{seen, value};

pub fn call() {
    seen(mtu::fragment_count(
        double_word(),
        double_word(),
        double_word(),
    ));

    let overhead = || black_box(Overhead::NONE);
    seen(Overhead::of(double_word()));
    seen(Overhead::of_bytes(size()));
    seen(Overhead::padding(double_word()));
    seen(Overhead::clamped_padding(double_word(), double_word()));
    seen(Overhead::around(overhead(), overhead()));
    seen(Overhead::repeat(overhead(), byte()));
    seen(Overhead::bytes(overhead()));
    seen(Overhead::outer_len(overhead(), double_word()));
    seen(Overhead::added_len(overhead(), double_word()));
    seen(Overhead::inner_mtu(overhead(), double_word()));
    seen(Overhead::tcp_mss(overhead(), double_word()));
    seen(Overhead::tcp_payload_len(
        overhead(),
        double_word(),
        double_word(),
    ));
    seen(Overhead::link_mtu(overhead(), double_word()));
    seen(Overhead::max_inner_len(overhead()));
    seen(Overhead::ethernet_efficiency(overhead(), double_word()));
    value::<Overhead>(overhead());
    seen(Overhead::efficiency(overhead(), double_word()));

    let efficiency = || Efficiency {
        payload_len: double_word(),
        carried_len: double_word(),
    };
    seen(Efficiency::ratio(efficiency()));
    seen(Efficiency::per_mille(efficiency()));
    value::<Efficiency>(efficiency());
}
