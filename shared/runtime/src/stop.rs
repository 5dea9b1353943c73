//! The wish to stop, shared by all threads and tasks of a process.

use std::sync::Arc;

use tokio::sync::watch;

/// A wish to stop that any clone can utter and every clone can see.
#[derive(Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Asks everything to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked.
    pub fn stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked.
    pub async fn wait(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in self, so this can't fail.
        let _ = receiver.wait_for(|stopped| *stopped).await;
    }

    /// Asks to stop at the first SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// If the signals can't be listened to.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
                _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
            }
            stop.stop();
        });
        Ok(())
    }
}
