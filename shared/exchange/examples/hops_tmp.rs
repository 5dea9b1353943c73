//! tmp
use std::{sync::Arc, sync::atomic::*, thread, time::*};
use oddwatch_exchange::*;
struct Copier { to: Arc<str> }
impl Processor for Copier {
    type Error = Error;
    fn restore(&mut self, _: &Assignment) -> Result<Start, Error> { Ok(Start::Committed) }
    fn drop_partition(&mut self, _: &Partition) {}
    fn apply(&mut self, b: &Batch) -> Result<Outputs, Error> {
        let mut messages = vec![];
        for s in &b.slices { for m in &s.messages { messages.push(Output{topic:self.to.clone(),partition:Some(s.partition.number),key:None,value:m.value.clone(),headers:vec![]}); } }
        Ok(Outputs{messages,metadata:vec![]})
    }
}
fn main() {
    let kafka = std::env::args().nth(1).as_deref() == Some("kafka");
    let rate: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let secs: u64 = std::env::args().nth(3).unwrap().parse().unwrap();
    let ex: Arc<dyn Exchange> = if kafka { Arc::new(KafkaExchange::connect(KafkaOptions::new(std::env::var("KAFKA_BOOTSTRAP").unwrap(),"hops")).unwrap()) }
      else { Arc::new(MemoryExchange::new(MemoryOptions::new(Arc::new(|| 0)))) };
    let run = std::process::id();
    let t: Vec<Arc<str>> = (0..4).map(|i| Arc::from(format!("hops-{run}-{i}"))).collect();
    let specs: Vec<_> = t.iter().map(|n| TopicSpec{name:n.clone(),partitions:4,retention_ms:Some(3600000),compacted:false,memory_bytes_max:1<<28,ring:false}).collect();
    ex.create_topics(&specs).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut hs = vec![];
    for i in 0..3 {
        let m = ex.join(&Group{name:format!("hops-{run}-{i}"),member:format!("hops-{run}-{i}"),topics:vec![t[i].clone()]}).unwrap();
        let w = Worker::new(m, Copier{to:t[i+1].clone()}, PollLimits::default());
        let stop = stop.clone();
        hs.push(thread::spawn(move || w.run(&|| stop.load(Ordering::Relaxed)).unwrap()));
    }
    let mut f = ex.follow(&t[3], FollowFrom::Earliest).unwrap();
    let t0 = Instant::now();
    let app = ex.appender().unwrap();
    let topic = t[0].clone(); let stop2 = stop.clone();
    let gen_ = thread::spawn(move || { let mut n=0u64; while !stop2.load(Ordering::Relaxed) {
        let due = t0.elapsed().as_millis() as u64 * rate / 1000;
        if due > n { let now = t0.elapsed().as_micros() as u64; let b: Vec<_> = (n..due).map(|i| Output{topic:topic.clone(),partition:Some((i%4) as u32),key:None,value:Some(format!("{now:057}").into()),headers:vec![]}).collect(); n = due; let _ = app.append(b); } else { thread::sleep(Duration::from_millis(1)); } } });
    let mut lat = vec![];
    while t0.elapsed() < Duration::from_secs(secs) {
        for (_, m) in f.next(Duration::from_millis(100), 10000).unwrap() {
            let at: u64 = std::str::from_utf8(&m.value.unwrap()).unwrap().parse().unwrap();
            let now = t0.elapsed().as_micros() as u64;
            if at > secs*500_000 { lat.push(now - at); }
        }
    }
    stop.store(true, Ordering::Relaxed); gen_.join().unwrap(); for h in hs { h.join().unwrap(); }
    lat.sort();
    println!("{rate}/s: n={} p50 {:.1} ms p99 {:.1} ms max {:.1}", lat.len(), lat[lat.len()/2] as f64/1e3, lat[lat.len()*99/100] as f64/1e3, *lat.last().unwrap() as f64/1e3);
}
