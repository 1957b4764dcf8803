//! Loads XDP programs.

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap();
    let config = ipencap_xdp::Config::read(args.next().unwrap().as_ref()).unwrap();
    let mut object = config.load(&ipencap_xdp::objects_folder(), args.next().is_some()).unwrap();
    config.fill(&mut object, "lo").unwrap();
    let info = object.program().unwrap().info().unwrap();
    println!("{} verified {:?} jited {}", name, info.verified_instruction_count(), info.size_jitted());
}
