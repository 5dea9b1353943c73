use oddwatch_detect::*; use domain::*; use rand_core::*; use rand_pcg::Pcg64Mcg;
#[test]
fn levels() {
    for d in [1usize,2,3,5,10,20,40] { for heavy in [false,true] {
        let alg=Algorithm::HalfSpaceTrees{trees:25,depth:10,window:250};
        let mut m=Model::new(&alg,d,1); let mut r=Pcg64Mcg::seed_from_u64(2); let mut out=Assessment::new(d);
        let mut v=vec![]; let mut early=vec![];
        for i in 0..20000 {
            let row:Vec<f64>=(0..d).map(|_|{ let g=(0..12).map(|_| r.next_u32() as f64/u32::MAX as f64).sum::<f64>()-6.0; if heavy {g.exp()} else {g}}).collect();
            m.score(&row,&mut out); if i>1000 {v.push(m.level(out.raw));} else if i>30 && i<250 {early.push(m.level(out.raw));} m.learn(&row);
        }
        v.sort_by(f64::total_cmp); early.sort_by(f64::total_cmp); let q=|p:f64| v[((v.len()-1) as f64*p) as usize];
        let mut b=vec![0.0;d]; b[0]=8.0; m.score(&b,&mut out); let b8=m.level(out.raw); b[0]=30.0; m.score(&b,&mut out); let b30=m.level(out.raw);
        eprintln!("d{d} heavy {heavy}: .5 {:.2} .9 {:.2} .98 {:.2} .999 {:.2} .9999 {:.2} early .5 {:.2} .98 {:.2} | burst8 {b8:.2} burst30 {b30:.2}",q(0.5),q(0.9),q(0.98),q(0.999),q(0.9999),early[110],early[214]);
    }}
}
