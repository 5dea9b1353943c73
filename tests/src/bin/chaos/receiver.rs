//! Receivers of alerts: small HTTP servers that write down what they have taken, and that are now and then broken,
//! busy, or gone before they have answered.

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::dice::Dice;

/// Longer than an attempt may take.
pub(crate) const HANG: Duration = Duration::from_millis(2_500);
/// No more than this is read of a body.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A receiver that runs.
#[derive(Clone)]
pub(crate) struct Receiver {
    /// What messages call it, and its channel's name.
    pub(crate) name: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Whether it is broken now and then.
    is_moody: AtomicBool,
    dice: Mutex<Dice>,
    /// Id and payload of what it has taken.
    got: Mutex<Vec<(String, Vec<u8>)>>,
}

/// What it does with a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Take,
    /// It takes it, but nobody hears of that.
    TakeSilently,
    Answer(&'static str),
    Hang,
}

impl Receiver {
    pub(crate) fn start(name: &'static str, is_moody: bool, dice: Dice) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let shared = Arc::new(Shared {
            is_moody: AtomicBool::new(is_moody),
            dice: Mutex::new(dice),
            got: Mutex::default(),
        });
        let receiver = Self { name, address: listener.local_addr()?, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks is the sender's to notice.
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Ok(receiver)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/alerts", self.address)
    }

    /// From now on it takes whatever comes.
    pub(crate) fn heal(&self) {
        self.shared.is_moody.store(false, Ordering::Relaxed);
    }

    /// How many different deliveries it has taken so far.
    pub(crate) fn ids(&self) -> usize {
        let got = self.shared.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len()
    }

    /// What it has taken so far.
    pub(crate) fn got(&self) -> Vec<(String, Vec<u8>)> {
        self.shared.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let Some((id, body)) = request(&mut reader)? else { return Ok(()) };
            let mood = self.mood();
            if matches!(mood, Mood::Take | Mood::TakeSilently) {
                self.got.lock().unwrap_or_else(PoisonError::into_inner).push((id, body));
            }
            let status = match mood {
                Mood::Take => "204 No Content",
                Mood::Answer(status) => status,
                Mood::TakeSilently => return Ok(()),
                Mood::Hang => {
                    thread::sleep(HANG); // pacing
                    return Ok(());
                }
            };
            let mut writer = stream;
            write!(writer, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")?;
        }
    }

    fn mood(&self) -> Mood {
        if !self.is_moody.load(Ordering::Relaxed) {
            return Mood::Take;
        }
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        match dice.within(0, 99) {
            0..5 => Mood::Answer("500 Internal Server Error"),
            5..7 => Mood::Answer("429 Too Many Requests"),
            7..9 => Mood::TakeSilently,
            9 => Mood::Hang,
            _ => Mood::Take,
        }
    }
}

/// Reads one request: the delivery's id and its body. `None` if the sender has closed the connection.
fn request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<(String, Vec<u8>)>> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let (mut id, mut length) = (None, 0);
    for number in 0.. {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() && number > 0 {
            break;
        }
        let Some((name, value)) = line.split_once(':').filter(|_| number > 0) else { continue };
        match name.to_ascii_lowercase().as_str() {
            "webhook-id" => id = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().map_err(|_| wrong("length"))?,
            _ => {}
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(wrong("too long"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    id.map(|id| Some((id, body))).ok_or_else(|| wrong("no id"))
}
