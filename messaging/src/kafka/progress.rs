//! How far a group is, seen from outside.

use std::sync::Arc;

use rdkafka::{
    Offset, config::FromClientConfigAndContext as _, consumer::Consumer as _, error::KafkaResult,
};

use super::{
    builder::Settings,
    client::{Asker, Patience, Quiet},
    config, error,
    member::list,
    starts::absolute,
    topics,
};
use crate::{Error, Group, Partition};

const DOING: &str = "reading the progress of a group";

pub(super) async fn of(
    settings: &Arc<Settings>,
    group: &Group,
) -> Result<Vec<(Partition, i64, i64)>, Error> {
    let (settings, group) = (Arc::clone(settings), group.clone());
    let asking = move || {
        let config = config::observer(&settings, &group);
        let asker = Asker::from_config_and_context(&config, Quiet::default());
        let asker = asker.map_err(|cause| error::sort(DOING, cause))?;
        ask(&asker, &settings).map_err(|cause| error::sort(DOING, cause))
    };
    tokio::task::spawn_blocking(asking)
        .await
        .map_err(error::ended)?
}

fn ask(asker: &Asker, settings: &Settings) -> KafkaResult<Vec<(Partition, i64, i64)>> {
    let patience = Patience::of(settings);
    let metadata = asker.fetch_metadata(None, patience.left())?;
    let mut all = Vec::new();
    for topic in metadata.topics() {
        let Some(name) = topics::plain(settings, topic.name()) else {
            continue;
        };
        all.extend(topic.partitions().iter().map(|partition| Partition {
            topic: name.clone(),
            number: partition.id(),
        }));
    }
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let committed = asker.committed_offsets(list(settings, &all), patience.left())?;
    let committed = absolute(settings, &committed)?;
    if committed.is_empty() {
        return Ok(Vec::new());
    }
    let partitions: Vec<Partition> = committed.keys().cloned().collect();
    let mut ends = list(settings, &partitions);
    ends.set_all_offsets(Offset::End)?;
    let ends = absolute(settings, &asker.offsets_for_times(ends, patience.left())?)?;
    let progress = committed.into_iter().filter_map(|(partition, committed)| {
        let end = *ends.get(&partition)?;
        Some((partition, committed, end))
    });
    Ok(progress.collect())
}
