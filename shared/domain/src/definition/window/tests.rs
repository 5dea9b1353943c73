//! Windows as people write them.

use super::*;

fn read(text: &str) -> Result<Window, String> {
    let text = format!("name = \"w\"\n{text}\n");
    let window: Window = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
    window.check("s").map_err(|error| error.to_string())?;
    Ok(window)
}

fn check(shape: &str, expected: Result<Shape, &str>) {
    match (read(&format!("features = [\"mean\"]\n{shape}")), expected) {
        (Ok(window), Ok(expected)) => {
            assert_eq!(window.shape, expected, "{shape}");
            let written = toml::to_string(&window).expect("a window can be written");
            assert_eq!(toml::from_str::<Window>(&written), Ok(window), "{written}");
        }
        (Err(found), Err(part)) => assert!(found.contains(part), "{shape}: {found}"),
        (found, expected) => panic!("{shape}: {found:?}, not {expected:?}"),
    }
}

#[test]
fn each_shape_has_its_fields_and_defaults() {
    let time = |size_ms, hop_ms, offset_ms| Ok(Shape::Time { size_ms, hop_ms, offset_ms });
    check("size = 20", Ok(Shape::Count { size: 20, slide: 1 }));
    check("size = 20\nslide = 20", Ok(Shape::Count { size: 20, slide: 20 }));
    check("size_ms = 60000", time(60_000, 60_000, 0));
    check("size_ms = 60000\nhop_ms = 60\noffset_ms = 59", time(60_000, 60, 59));
    let session = |gap_ms, size_ms_max| Ok(Shape::Session { gap_ms, size_ms_max });
    check("gap_ms = 30000", session(30_000, DAY_MS));
    check("gap_ms = 30000\nsize_ms_max = 30000", session(30_000, 30_000));
}

#[test]
fn what_cannot_be_is_named() {
    let one =
        "window \"w\", shape: exactly one of size (records), size_ms (time) and gap_ms (session)";
    for text in ["", "size = 2\nsize_ms = 2", "size_ms = 2\ngap_ms = 2"] {
        check(text, Err(one));
    }
    check("size = 2\nhop_ms = 2", Err("window \"w\", hop_ms: belongs to a window with size_ms"));
    check("gap_ms = 2\nslide = 2", Err("slide: belongs to a window with size"));
    check("gap_ms = 2\noffset_ms = 2", Err("offset_ms: belongs to a window with size_ms"));
    check("size = 2\nsize_ms_max = 2", Err("size_ms_max: belongs to a window with gap_ms"));
    check("size = 2\nsized = 2", Err("unknown field `sized`"));
    check("size = 1", Err("stream \"s\", window \"w\", size: must be from 2 to 100000"));
    check("size = 5\nslide = 6", Err("slide: must be from 1 to size, which is 5"));
    check("size = 5\nslide = 0", Err("slide: must be from 1 to size"));
    check("size_ms = 0", Err("size_ms: must be from 1 to 31622400000 (366 days)"));
    check("size_ms = 31622400001", Err("size_ms: must be from 1 to"));
    let whole = "hop_ms: must go into size_ms, which is 100, a whole number of times";
    check("size_ms = 100\nhop_ms = 30", Err(whole));
    check("size_ms = 100\nhop_ms = 200", Err(whole));
    check("size_ms = 100\nhop_ms = 0", Err(whole));
    check("size_ms = 1001\nhop_ms = 1", Err("hop_ms: must be at least a thousandth of size_ms"));
    check("size_ms = 100\nhop_ms = 10\noffset_ms = 10", Err("offset_ms: must be less than a hop"));
    check("gap_ms = 0", Err("gap_ms: must be at least 1"));
    check("gap_ms = 9\nsize_ms_max = 8", Err("size_ms_max: must be from gap_ms to"));
    check("gap_ms = 86400001", Err("size_ms_max: must be from gap_ms to"));
}

#[test]
fn features_have_names_and_each_stands_once() {
    let features = |list: &str| read(&format!("size = 2\nfeatures = [{list}]"));
    let names = "last count sum mean min max std delta rate distinct since_last p1 p50 p99.9 p0.0001 p99.9999";
    for name in names.split(' ') {
        let window = features(&format!("{name:?}")).expect(name);
        assert_eq!(window.features[0].to_string(), name);
    }
    assert_eq!(features("\"p50.00\"").map(|w| w.features[0].to_string()), Ok("p50".into()));
    for name in ["p0", "p100", "p", "p.5", "p5.", "p-1", "p+1", "p1e1", "p1.23456", "P50", "median"]
    {
        let error = features(&format!("{name:?}")).expect_err(name);
        assert!(error.contains("is no feature of a window: there are last, count"), "{error}");
    }
    assert!(features("").is_err_and(|error| error.ends_with("features: at least one is needed")));
    let twice = features("\"p50\", \"mean\", \"p50.0\"");
    assert!(twice.is_err_and(|error| error.ends_with("features: one stands twice")));
}

#[test]
fn a_rank_is_the_nearest_one_that_covers_the_share() {
    let rank = |millionths, count| Percentile::of_millionths(millionths).map(|p| p.rank(count));
    assert_eq!(rank(500_000, 4), Some(2));
    assert_eq!(rank(500_000, 5), Some(3));
    assert_eq!(rank(1, 9), Some(1));
    assert_eq!(rank(999_999, 9), Some(9));
    assert_eq!(rank(990_000, 100), Some(99));
    assert!(rank(999_999, u64::MAX).is_some_and(|rank| rank < u64::MAX));
    assert_eq!((rank(0, 1), rank(1_000_000, 1)), (None, None));
}
