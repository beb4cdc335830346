//! What a node tells of single objects: whether they are there still, and what took them last.

use crate::rpc::{Answer, Rpc, Trouble};
use crate::view::Text;
use iota_sdk_types::{ObjectId, TransactionDigest, Version};
use serde::Deserialize;
use serde_json::json;

/// The most objects that a node tells of at once.
pub(crate) const AT_ONCE: usize = 50;

/// An object as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// It is there.
    There {
        /// Its version.
        version: Version,
        /// What made that.
        made_by: Option<TransactionDigest>,
    },
    /// It was there.
    Gone {
        /// The version of what else was written by what ended it.
        at: Version,
    },
    /// The node has never heard of it, or no longer remembers.
    Unheard,
}

impl Rpc {
    /// Objects as they are now, in this order: [`AT_ONCE`] of them at most.
    pub async fn objects(&self, ids: &[ObjectId]) -> Answer<Vec<Now>> {
        let names: Vec<String> = ids.iter().map(ObjectId::to_hex).collect();
        let params = json!([names, { "showPreviousTransaction": true }]);
        let told: Vec<ObjectTold> = self.ask("iota_multiGetObjects", params).await?;
        let others = || self.trouble("other objects than were asked for");
        if told.len() != ids.len() {
            return Err(others());
        }
        told.iter().zip(ids).map(|(told, id)| told.now(id).ok_or_else(others)).collect()
    }

    /// What took an object last, by the node's index; nothing where it has none, or nothing there.
    pub async fn last_taker(&self, id: &ObjectId) -> Answer<Option<TransactionDigest>> {
        let query = json!({ "filter": { "InputObject": id.to_hex() } });
        let params = json!([query, null, 1, true]);
        match self.ask::<Page>("iotax_queryTransactionBlocks", params).await {
            Ok(page) => Ok(page.data.first().map(|taker| taker.digest.0)),
            // Nodes say it in many ways that they keep no index, or not for everybody.
            Err(Trouble::Said { .. }) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Taker>,
}

#[derive(Deserialize)]
struct Taker {
    digest: Text<TransactionDigest>,
}

#[derive(Deserialize)]
struct ObjectTold {
    #[serde(default)]
    data: Option<ObjectData>,
    #[serde(default)]
    error: Option<ObjectError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectData {
    object_id: Text<ObjectId>,
    version: Written,
    #[serde(default)]
    previous_transaction: Option<Text<TransactionDigest>>,
}

#[derive(Deserialize)]
struct ObjectError {
    code: String,
    #[serde(default)]
    object_id: Option<Text<ObjectId>>,
    #[serde(default)]
    version: Option<Written>,
}

/// A version: in digits within quotes, and of what is gone without them.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Written {
    Plain(u64),
    Quoted(Text<u64>),
}

impl Written {
    fn version(self) -> Version {
        let (Written::Plain(version) | Written::Quoted(Text(version))) = self;
        version.into()
    }
}

impl ObjectTold {
    /// What is told, if it is of this object.
    fn now(&self, id: &ObjectId) -> Option<Now> {
        let is_it = |told: &Text<ObjectId>| told.0 == *id;
        if let Some(data) = &self.data {
            let made_by = data.previous_transaction.map(|Text(digest)| digest);
            let now = Now::There { version: data.version.version(), made_by };
            return is_it(&data.object_id).then_some(now);
        }
        let ObjectError { code, object_id, version } = self.error.as_ref()?;
        match code.as_str() {
            "deleted" => Some(Now::Gone { at: (*version)?.version() }),
            "notExists" => Some(Now::Unheard),
            _ => None,
        }
        .filter(|_| object_id.as_ref().is_some_and(is_it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(text: &str, id: &str) -> Option<Now> {
        serde_json::from_str::<ObjectTold>(text).ok()?.now(&id.parse().unwrap())
    }

    #[test]
    fn an_object_is_there_gone_or_was_never_heard_of() {
        let clock: ObjectTold = crate::rpc::tests::read("64-get-object-0x6-clock").unwrap();
        let there = Now::There { version: 1_813.into(), made_by: None };
        assert_eq!(clock.now(&"0x6".parse().unwrap()), Some(there));
        assert_eq!(clock.now(&"0x5".parse().unwrap()), None, "another");
        let gone = Some(Now::Gone { at: 7.into() });
        let digest = "7gyGAp71YXQRoxmFBaHxofQXAipvgHyBKPyxmdSJxyvz";
        for version in ["7", "\"7\""] {
            let text = format!(
                r#"{{"error":{{"code":"deleted","object_id":"0x1","version":{version},"digest":"{digest}"}}}}"#
            );
            assert_eq!(now(&text, "0x1"), gone);
            assert_eq!(now(&text, "0x2"), None, "another");
        }
        let unheard = r#"{"error":{"code":"notExists","object_id":"0x1"}}"#;
        assert_eq!(now(unheard, "0x1"), Some(Now::Unheard));
        for odd in [
            "{}",
            r#"{"error":{"code":"deleted","object_id":"0x1"}}"#,
            r#"{"error":{"code":"deleted","object_id":"0x1","version":-7}}"#,
            r#"{"error":{"code":"unknown"}}"#,
            r#"{"error":{"code":"notExists"}}"#,
        ] {
            assert_eq!(now(odd, "0x1"), None, "{odd} was read");
        }
    }
}
