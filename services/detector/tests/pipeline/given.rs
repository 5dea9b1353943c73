//! Models that users gave come with their definitions: what can't be run stops the partition, and what can goes on
//! after a restart like any other.

use domain::{Algorithm, Definition, Detector, GivenModel, Kind};
use stage::StageError;

use crate::world::{World, calm};

#[test]
fn a_model_that_can_not_be_run_stops_the_partition() {
    let mut world = World::new("");
    world.send(&[calm(1)]);
    world.run().unwrap();
    let mut detector = Detector { name: "mine".into(), ..Detector::implicit("default") };
    detector.algorithm = Algorithm::new(Kind::Onnx);
    detector.algorithm.model = Some(GivenModel::new("mine.onnx", *b"no model"));
    let definition = Definition::Detector(detector);
    world.version = world.append("control", wire::control::encode_definition(&definition, 0)) + 1;
    world.send(&[calm(2)]);
    let error = world.run().expect_err("it can't be run");
    assert!(matches!(error, StageError::Definition { .. }), "{error}");
    let start = "detection.requested/0: detector \"mine\", algorithm.model: mine.onnx: ";
    assert!(error.to_string().starts_with(start), "{error}");
    let built = error.to_string().contains("build with `--features onnx`");
    assert_eq!(built, !cfg!(feature = "onnx"), "{error}");
    assert_eq!(world.scores().len(), 1, "nothing was scored without it");
    world.remove("detector/mine");
    world.send(&[calm(3)]);
    assert!(world.run().is_err(), "the row before its removal still asks for it");
}

#[cfg(feature = "onnx")]
mod run {
    use crate::world::{calm, detector, rec, settle};

    use super::*;

    /// A path from this crate's folder, in which tests run.
    const DISTANCE: &str = "\"../../shared/detect/tests/onnx/distance.onnx\"";

    fn story() -> World {
        let algorithm = |more: &str| {
            format!("algorithm = {{ kind = \"onnx\", model = {DISTANCE}, standardise = 1{more} }}")
        };
        let text = detector("a", &algorithm("")) + &detector("b", &algorithm(", shingle = 3"));
        let mut world = World::new(&text);
        for at in 1..=300 {
            let row = if at % 100 == 90 { rec(at, 50.0) } else { calm(at) };
            world.send(&[row]);
            if at == 200 {
                // An entry that changes nothing of them.
                world.define(&detector("c", ""));
            }
        }
        world
    }

    #[test]
    fn a_restart_anywhere_changes_nothing() {
        let whole = story();
        whole.run().unwrap();
        let expected = whole.exact();
        let odd = whole.scores().iter().filter(|scored| scored.score.score > 0.7).count();
        assert!((3..=12).contains(&odd), "three rows are odd, and some behind them: {odd}");
        let mut restored = 0;
        for steps in [1, 40, 150, 230, 280] {
            let mut world = story();
            world.keep_snapshots();
            let mut first = world.worker(1);
            for _ in 0..steps {
                first.step().unwrap();
            }
            drop(first);
            restored += usize::from(world.kept().is_some());
            settle(&mut world.worker(40)).unwrap();
            assert!(world.exact() == expected, "after {steps} steps");
        }
        assert!(restored > 2, "{restored}");
    }
}
