//! All tests on all values of one series.

use domain::{
    DriftTest,
    encoding::{DecodeError, ensure, ensure_same, ensure_version, put, take},
};

use crate::{Adwin, Change, Noise, PageHinkley, STATE_VERSION, Standard, VALUE_MAX};

/// Makes [`TESTS`] of a `match` over all tests, so that one that is missing does not compile.
macro_rules! tests {
    ($($test:path),+ $(,)?) => {
        /// All tests there are. What must hold for every test is tested over these.
        pub const TESTS: &[DriftTest] = &[$($test),+];

        const _: fn(DriftTest) = |test| match test {
            $($test => {})+
        };
    };
}

tests!(DriftTest::Adwin, DriftTest::PageHinkley);

/// A drift, as found at one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Index of the value that changed.
    pub value: usize,
    /// The test that found it.
    pub test: DriftTest,
    /// The test's statistic, in the value's unit.
    pub statistic: f64,
    /// What it had to exceed.
    pub bound: f64,
    /// An upper bound of the p-value, corrected for the number of values and tests: below the confidence.
    pub p_value: f64,
    /// Mean before the change.
    pub before: f64,
    /// Mean since.
    pub after: f64,
}

/// Watches the values of one series for drift.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    /// For one test of one value.
    confidence: f64,
    /// Values times tests.
    family: f64,
    watches: Box<[Watch]>,
}

/// One value under watch.
#[derive(Clone, Debug, PartialEq)]
struct Watch {
    standard: Standard,
    noise: Noise,
    adwin: Option<Adwin>,
    page_hinkley: Option<PageHinkley>,
}

impl Monitor {
    /// For rows of so many `values`. `confidence` is the chance of a false alarm at a row, over all values and
    /// tests, in (0, 1).
    pub fn new(tests: &[DriftTest], confidence: f64, values: usize) -> Self {
        let wants = |test| tests.contains(&test);
        let count = TESTS.iter().filter(|&&test| wants(test)).count();
        let family = (values * count).max(1) as f64;
        let watch = Watch {
            standard: Standard::default(),
            noise: Noise::default(),
            adwin: wants(DriftTest::Adwin).then(Adwin::default),
            page_hinkley: wants(DriftTest::PageHinkley).then(PageHinkley::default),
        };
        let watches = if count > 0 { vec![watch; values] } else { vec![] };
        Self { confidence: confidence / family, family, watches: watches.into() }
    }

    /// Takes the next row in and tells the surest drift found at it, if any. Missing values (NaN) are skipped.
    /// The tests of the value that changed start anew, so one change is told once.
    pub fn push(&mut self, row: &[f64]) -> Option<Found> {
        let (confidence, family) = (self.confidence, self.family);
        let mut best: Option<Found> = None;
        for (value, (watch, &x)) in self.watches.iter_mut().zip(row).enumerate() {
            if !x.is_finite() {
                continue;
            }
            let Some((test, change)) = watch.push(x.clamp(-VALUE_MAX, VALUE_MAX), confidence)
            else {
                continue;
            };
            let p_value = (change.p_value * family).min(1.0);
            if best.is_none_or(|b| p_value < b.p_value) {
                let Change { statistic, bound, before, after, .. } = change;
                best = Some(Found { value, test, statistic, bound, p_value, before, after });
            }
        }
        if let Some(found) = &best {
            self.watches[found.value].restart();
        }
        best
    }

    /// Appends all that it knows, for [`decode`](Self::decode); its version is [`STATE_VERSION`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.tests(), self.watches.len(), self.confidence), out);
        self.watches.iter().for_each(|watch| watch.encode(out));
    }

    /// Takes an encoding of this version off the front of `bytes`: the monitor that was encoded,
    /// which goes on with the same findings, bit for bit. Its confidence is in the encoding;
    /// `tests` and `values` say what to expect.
    ///
    /// # Errors
    /// A version that is not read here, other tests or another number of values, or bytes that are
    /// no encoding.
    pub fn decode(
        tests: &[DriftTest],
        values: usize,
        version: u32,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        ensure_version(version, STATE_VERSION)?;
        // Some confidence: the one that was is decoded below.
        let mut monitor = Self::new(tests, 0.5, values);
        ensure_same("a monitor with tests", &take(bytes)?, &monitor.tests())?;
        ensure_same("a monitor of values:", &take(bytes)?, &monitor.watches.len())?;
        monitor.confidence = take(bytes)?;
        ensure(0.0 < monitor.confidence && monitor.confidence < 1.0, "confidence")?;
        monitor.watches.iter_mut().try_for_each(|watch| watch.decode(bytes))?;
        Ok(monitor)
    }

    /// The tests that are run, in the order of [`TESTS`].
    fn tests(&self) -> Vec<DriftTest> {
        let runs = |test| {
            self.watches.first().is_some_and(|watch| match test {
                DriftTest::Adwin => watch.adwin.is_some(),
                DriftTest::PageHinkley => watch.page_hinkley.is_some(),
            })
        };
        TESTS.iter().copied().filter(|&test| runs(test)).collect()
    }

    /// Bytes it takes, the heap included; constant over its life.
    pub fn bytes(&self) -> usize {
        let adwin = |watch: &Watch| {
            if watch.adwin.is_some() { Adwin::bytes() } else { 0 }
        };
        size_of::<Self>()
            + self.watches.iter().map(|w| size_of::<Watch>() + adwin(w)).sum::<usize>()
    }
}

impl Watch {
    fn push(&mut self, value: f64, confidence: f64) -> Option<(DriftTest, Change)> {
        let clipped = self.standard.clip(value);
        self.standard.learn(value);
        self.noise.push(clipped);
        let (noise, standard) = (&self.noise, &self.standard);
        let adwin = self.adwin.as_mut().and_then(|test| {
            test.push(clipped, value);
            test.change(confidence, noise, standard)
        });
        let page_hinkley = self.page_hinkley.as_mut().and_then(|test| {
            test.push(clipped, value, standard);
            test.change(confidence, noise, standard)
        });
        let adwin = adwin.map(|change| (DriftTest::Adwin, change));
        let page_hinkley = page_hinkley.map(|change| (DriftTest::PageHinkley, change));
        adwin.into_iter().chain(page_hinkley).min_by(|a, b| a.1.p_value.total_cmp(&b.1.p_value))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.standard.encode(out);
        self.noise.encode(out);
        self.adwin.iter().for_each(|test| test.encode(out));
        self.page_hinkley.iter().for_each(|test| test.encode(out));
    }

    /// Puts what [`encode`](Self::encode) appended into a new one with the same tests.
    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.standard = Standard::decode(bytes)?;
        self.noise = Noise::decode(bytes)?;
        if let Some(test) = &mut self.adwin {
            *test = Adwin::decode(bytes)?;
        }
        if let Some(test) = &mut self.page_hinkley {
            *test = PageHinkley::decode(bytes)?;
        }
        Ok(())
    }

    /// The noise stays: how much means differ without drift is worth remembering.
    fn restart(&mut self) {
        self.standard = Standard::default();
        self.adwin.iter_mut().for_each(Adwin::restart);
        self.page_hinkley.iter_mut().for_each(PageHinkley::restart);
    }
}
