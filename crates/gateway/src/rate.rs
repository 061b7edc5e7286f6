//! How many calls a minute a caller may make (decision D36): a bucket for each authenticated principal, refilled evenly.
//! Each replica counts for itself; the buckets are spread over shards, so callers do not wait for each other.

use foldhash::HashMap;
use portreeve_model::PrincipalId;
use std::{
    hash::BuildHasher,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const SHARDS: usize = 16;
/// Buckets of one shard above which full ones, which say nothing, are dropped.
const CROWDED: usize = 1024;
const MINUTE: Duration = Duration::from_secs(60);

/// The buckets.
#[derive(Default)]
pub(crate) struct Rates {
    shards: [Mutex<HashMap<PrincipalId, Bucket>>; SHARDS],
    hasher: foldhash::fast::RandomState,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// Takes one call out of the caller's bucket of this size (`None` limits nothing), or says how long until there is one.
    pub(crate) fn take(
        &self,
        principal: &PrincipalId,
        per_minute: Option<u32>,
        now: Instant,
    ) -> Result<(), Duration> {
        let Some(size) = per_minute.map(f64::from) else { return Ok(()) };
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits choose the shard")]
        let shard = &self.shards[self.hasher.hash_one(principal) as usize % SHARDS];
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = |bucket: &Bucket| {
            let since = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.left + since / MINUTE.as_secs_f64() * size).min(size)
        };
        if buckets.len() > CROWDED {
            buckets.retain(|_, bucket| filled(bucket) < size);
        }
        let bucket = buckets.entry(principal.clone()).or_insert(Bucket { left: size, at: now });
        *bucket = Bucket { left: filled(bucket), at: now };
        if bucket.left < 1.0 {
            return Err(MINUTE.mul_f64((1.0 - bucket.left) / size));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills_for_each_caller_alone() {
        let rates = Rates::default();
        let two = Some(2);
        let (a, b, start) = (PrincipalId::new("key:a"), PrincipalId::new("key:b"), Instant::now());
        assert_eq!(rates.take(&a, two, start), Ok(()));
        assert_eq!(rates.take(&a, two, start), Ok(()));
        assert_eq!(rates.take(&a, two, start), Err(Duration::from_secs(30)));
        assert_eq!(rates.take(&b, two, start), Ok(()));
        assert_eq!(rates.take(&a, two, start + Duration::from_secs(31)), Ok(()));
        assert!(rates.take(&a, two, start + Duration::from_secs(31)).is_err());
        assert_eq!(rates.take(&a, None, start), Ok(()));
    }
}
