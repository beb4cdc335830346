//! How a node shows an object: a coin, as the double has no others.

use iota_sdk_types::{ObjectDigest, ObjectId};
use serde_json::{Map, Value, json};

use crate::coin::{COIN_OBJECT_TYPE, COIN_STORAGE_COST, Coin};
use crate::world::World;

/// An object with the parts that are asked for; why there is none otherwise.
pub(crate) fn object(world: &World, id: &ObjectId, options: &Map<String, Value>) -> Value {
    if let Some(coin) = world.view.coin(id) {
        return json!({ "data": data(coin, options) });
    }
    let error = match world.view.gone(&world.chain, id) {
        Some(version) => json!({
            "code": "deleted",
            "object_id": id.to_string(),
            // A number, unlike all other versions.
            "version": version,
            "digest": ObjectDigest::OBJECT_DELETED.to_string(),
        }),
        None => json!({ "code": "notExists", "object_id": id.to_string() }),
    };
    json!({ "error": error })
}

fn data(coin: &Coin, options: &Map<String, Value>) -> Value {
    let asked = |name: &str| options.get(name) == Some(&Value::Bool(true));
    let id = coin.id.to_string();
    let mut data = json!({
        "objectId": id,
        "version": coin.version.to_string(),
        "digest": coin.digest.to_string(),
    });
    let fields = json!({ "balance": coin.balance.to_string(), "id": { "id": id } });
    let content = json!({ "dataType": "moveObject", "type": COIN_OBJECT_TYPE, "fields": fields });
    let parts = [
        ("showType", "type", json!(COIN_OBJECT_TYPE)),
        ("showOwner", "owner", json!({ "AddressOwner": coin.owner.to_string() })),
        ("showPreviousTransaction", "previousTransaction", json!(coin.previous.to_string())),
        ("showStorageRebate", "storageRebate", json!(COIN_STORAGE_COST.to_string())),
        ("showContent", "content", content),
    ];
    for (option, name, part) in parts {
        if asked(option) {
            data[name] = part;
        }
    }
    data
}
