//! The table is sound, and what is wrong is named.

use super::*;

#[test]
fn the_table_is_sound() {
    let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        for p in kind.parameters() {
            assert!((p.least..=p.most).contains(&p.default), "{kind:?} {}", p.name);
            assert!(!p.about.is_empty() && (!p.whole || p.default.fract() == 0.0));
        }
        let mut algorithm = Algorithm::new(*kind);
        if *kind == Kind::Ensemble {
            algorithm.members.push(Algorithm::default());
        }
        if *kind == Kind::Onnx {
            algorithm.model = Some(GivenModel::new("a.onnx", [1]));
        }
        assert_eq!(algorithm.check("a"), Ok(()));
    }
}

#[test]
fn wrong_parameters_are_named() {
    let wrong = |algorithm: Algorithm| algorithm.check("algorithm").unwrap_err().to_string();
    let z = || Algorithm::new(Kind::RobustZ);
    assert_eq!(wrong(z().with("window", 7.0)), "algorithm.window: must be from 8 to 10000");
    assert_eq!(wrong(z().with("window", f64::NAN)), "algorithm.window: must be from 8 to 10000");
    assert_eq!(wrong(z().with("window", 8.5)), "algorithm.window: must be a whole number");
    let text = wrong(z().with("width", 8.0));
    assert_eq!(text, "algorithm.width: robust_z has no such parameter; it has window");
    assert_eq!(z().with("window", 9.0).to_string(), "robust_z(window=9)");
    assert_eq!((z().whole("window"), z().whole("width")), (256, 0));
}

#[test]
fn ensembles_are_checked_with_their_members() {
    let one = || Algorithm::new(Kind::RobustZ).with("weight", 2.0);
    let of = |members: Vec<Algorithm>| Algorithm::ensemble(Combine::Median, members);
    let wrong = |algorithm: Algorithm| algorithm.check("algorithm").unwrap_err().to_string();
    assert_eq!(of(vec![one(), Algorithm::default()]).check("algorithm"), Ok(()));
    assert_eq!(wrong(of(vec![])), "algorithm.members: an ensemble has 1 to 16 members");
    assert_eq!(wrong(of(vec![one(); 17])), wrong(of(vec![])));
    assert_eq!(
        wrong(of(vec![one(), of(vec![one()])])),
        "algorithm.members[1]: an ensemble can't be a member of another"
    );
    assert_eq!(
        wrong(of(vec![one().with("window", 1.0)])),
        "algorithm.members[0].window: must be from 8 to 10000"
    );
    assert_eq!(wrong(one()), "algorithm.weight: robust_z has no such parameter; it has window");
    let lone = Algorithm { members: vec![one()], ..Algorithm::new(Kind::RobustZ) };
    let text = "algorithm.members: only an ensemble has members and combines them";
    assert_eq!(wrong(lone.clone()), text);
    assert!(wrong(of(vec![lone])).contains("members[0].members: only an ensemble"));
    assert_eq!(
        of(vec![one()]).to_string(),
        "ensemble(combine=median, members=[robust_z(weight=2)])"
    );
    let resolved = of(vec![Algorithm::default().with("weight", 1.0)]).resolved(1);
    assert_eq!(resolved, of(vec![Algorithm::new(Kind::Novelty)]));
}

#[test]
fn an_ensemble_is_read_and_written() {
    let text = r#"
        kind = "ensemble"
        combine = "vote"
        majority = 0.75
        members = [{ kind = "robust_z" }, { kind = "robust_z", weight = 3, window = 50.0 }]
    "#;
    let read: Algorithm = toml::from_str(text).expect("an algorithm");
    let second = Algorithm::new(Kind::RobustZ).with("window", 50.0).with("weight", 3.0);
    let members = [Algorithm::new(Kind::RobustZ), second];
    let expected = Algorithm::ensemble(Combine::Vote, members).with("majority", 0.75);
    assert_eq!(read, expected);
    let written = toml::to_string(&read).expect("text");
    assert_eq!(toml::from_str::<Algorithm>(&written), Ok(expected), "{written}");
    let plain = toml::to_string(&Algorithm::default()).expect("text");
    assert_eq!(plain.trim(), r#"kind = "auto""#);
}

#[test]
fn a_given_model_is_told_by_its_digest() {
    let wrong = |algorithm: Algorithm| algorithm.check("algorithm").unwrap_err().to_string();
    let given = |name: &str, bytes: &[u8]| Algorithm {
        model: Some(GivenModel::new(name, bytes)),
        ..Algorithm::new(Kind::Onnx)
    };
    let one = given("one.onnx", b"abc");
    assert_eq!(one.to_string(), "onnx(model=sha256:ba7816bf8f01cfea)");
    assert_eq!(one, given("same.onnx", b"abc"));
    assert_ne!(one, given("one.onnx", b"abd"));
    assert_eq!(one.resolved(3), one);
    assert_eq!(one.given().count(), 1);
    let within = Algorithm::ensemble(Combine::Mean, [one.clone(), Algorithm::default()]);
    assert_eq!((within.check("a"), within.given().count()), (Ok(()), 1));
    assert_eq!(
        wrong(Algorithm::new(Kind::Onnx)),
        "algorithm.model: must name a file, such as \"autoencoder.onnx\""
    );
    assert_eq!(
        wrong(Algorithm { kind: Kind::Lof, ..one.clone() }),
        "algorithm.model: only onnx runs a model that is given"
    );
    let large = vec![0; GivenModel::BYTES_MAX + 1];
    assert_eq!(
        wrong(given("a.onnx", &large)),
        "algorithm.model: a.onnx has more than 1048576 bytes"
    );
    // A file of definitions has the path only.
    let read: Algorithm = toml::from_str("kind = \"onnx\"\nmodel = \"one.onnx\"").expect("one");
    assert_eq!(wrong(read.clone()), "algorithm.model: one.onnx is empty or was not read");
    assert_eq!(toml::to_string(&read), toml::to_string(&one));
}
