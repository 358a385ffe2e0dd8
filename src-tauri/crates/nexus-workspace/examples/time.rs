use nexus_workspace::*;
use std::{path::Path, time::Instant};
fn main() {
    let r = Repository::open(Path::new("/tmp/wsx/bigdata/git")).unwrap();
    let t = Instant::now();
    let s = Source::new(Path::new("/tmp/wsx/big"), &[], Limits::default()).unwrap();
    println!("source {:?}", t.elapsed());
    let mut snap = None;
    for _ in 0..4 {
        let t = Instant::now();
        let x = r.snapshot(&s, "x").unwrap();
        println!("snapshot {} files {:?}", x.files, t.elapsed());
        snap = Some(x);
    }
    let dir = Path::new("/tmp/wsx/bigdata/w");
    let t = Instant::now();
    let w = r.check_out(&s, &snap.unwrap().id, dir, &[]).unwrap();
    println!("check_out {:?}", t.elapsed());
    for _ in 0..3 {
        let t = Instant::now();
        w.snapshot("y").unwrap();
        println!("workspace snapshot {:?}", t.elapsed());
    }
    let t = Instant::now();
    remove_workspace(dir).unwrap();
    println!("remove {:?}", t.elapsed());
}
