//! Files as they were promised to sessions that were begun before this process was started. Such a file is
//! read once for all of them: buyers come back as many at once as they like.

use crate::actors::readers::Readers;
use crate::source::{Origin, SourceError};
use crate::terms::Dataset;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What was read so far; its clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Promised {
    known: Arc<Mutex<Known>>,
    /// Who reads.
    pub(super) readers: Readers,
}

/// By topic, each with a lock of its own: a file keeps nobody waiting for another.
type Known = BTreeMap<(String, Dataset), Arc<Mutex<Found>>>;

/// What a file was found to be: itself, or not what was promised any more. `None` before it is read.
type Found = Option<Option<Origin>>;

impl Promised {
    /// A topic's file as it was promised. Whoever asks for it while it is read waits for that.
    ///
    /// # Errors
    /// Why it is not to be had, for our own people.
    pub(super) async fn origin(
        &self,
        (topic, origin): (String, Origin),
        promised: Dataset,
        item_bytes_max: usize,
    ) -> Result<Origin, String> {
        let mut found = self.file(&topic, promised).await.lock_owned().await;
        if let Some(known) = &*found {
            let other = || SourceError::Other { place: origin.to_string(), root: promised.root };
            return known.clone().ok_or_else(|| other().to_string());
        }
        // It goes on to its end whoever waits for it, so that nobody begins another meanwhile.
        let read = self.readers.read(move || {
            let read = origin.committed_to(promised, item_bytes_max);
            // What could not be read may be another time.
            if let Ok(_) | Err(SourceError::Other { .. }) = &read {
                *found = Some(read.as_ref().ok().cloned());
            }
            read
        });
        read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    async fn file(&self, topic: &str, promised: Dataset) -> Arc<Mutex<Found>> {
        self.known.lock().await.entry((topic.to_owned(), promised)).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::source::{File, Format};
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// They come back all at once, and the file need not be read for each.
    #[tokio::test]
    async fn a_file_that_was_promised_before_is_read_once_for_all_sessions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("readings.txt");
        let origin =
            |committed| Origin::File(File { path: path.clone(), format: Format::Lines, committed });
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let (sold, _) = origin(true).stock(99).unwrap();
        let sold = sold.dataset().unwrap();
        let promised = Promised::default();
        let ask = || promised.origin(("readings".to_owned(), origin(false)), sold, 99);
        std::fs::remove_file(&path).unwrap();
        assert!(ask().await.unwrap_err().contains("cannot open"), "there is no file");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let (one, other) = tokio::join!(ask(), ask());
        std::fs::remove_file(&path).unwrap();
        for origin in [one, other, ask().await] {
            assert_eq!(origin.unwrap().dataset(), Some(sold), "nobody reads it again");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_another_is_read_once_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("readings.txt");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let origin =
            Origin::File(File { path: path.clone(), format: Format::Lines, committed: true });
        let sold = origin.stock(99).unwrap().0.dataset().unwrap();
        let promised = Promised::default();
        let ask = || promised.origin(("readings".to_owned(), origin.clone()), sold, 99);
        std::fs::write(&path, "one\n2\n").unwrap();
        assert!(ask().await.unwrap_err().contains("does not begin with the dataset"));
        std::fs::remove_file(&path).unwrap();
        assert!(ask().await.unwrap_err().contains("does not begin with the dataset"));
    }

    #[tokio::test]
    async fn who_comes_back_to_a_small_file_does_not_wait_for_a_large_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small.txt");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let origin = Origin::File(File { path, format: Format::Lines, committed: true });
        let sold = origin.stock(99).unwrap().0.dataset().unwrap();
        let promised = Promised::default();
        let reading = promised.file("large", sold).await.lock_owned().await;
        let ask = |topic: &str| promised.origin((topic.to_owned(), origin.clone()), sold, 99);
        let found = tokio::select! {
            biased;
            _ = ask("large") => panic!("it is being read"),
            found = tokio::time::timeout(PATIENCE, ask("small")) => found,
        };
        assert_eq!(found.unwrap().unwrap().dataset(), Some(sold));
        drop(reading);
        assert_eq!(ask("large").await.unwrap().dataset(), Some(sold));
    }
}
