// One organisation's peer towards the chaincode: it connects to the chaincode's service and talks
// the official protocol with it (gRPC, `protos.Chaincode/Connect`), so the chaincode runs under the
// official shim and cannot tell that this is no peer.
"use strict";

const grpc = require("@grpc/grpc-js");
const { ledger, peer } = require("@hyperledger/fabric-protos");
const { Simulation } = require("./state");

const { ChaincodeMessage } = peer;
const { Type } = ChaincodeMessage;
/** How long a call of the chaincode may take, and the connection to it. */
const EXECUTE_MS = 30_000;
const CONNECT_MS = 10_000;
/** From which status on a chaincode's answer is a refusal. */
const REFUSED = 400;

/** A refusal of the chaincode, or a failure to run it: its text is all that a client gets. */
class ChaincodeError extends Error {}

/** A peer's side of one chaincode. */
class Peer {
  constructor({ state, address, chaincodeId, channel, members }) {
    Object.assign(this, { state, address, chaincodeId, channel, members });
    this.running = new Map();
    this.isUnplugged = false;
    this.connecting = null;
  }

  /** Runs a proposal against the state as it is now: its reads and writes, answer and event. */
  async simulate(proposal) {
    const { tx } = proposal;
    await this.connected(tx);
    const simulation = new Simulation(this.state);
    const run = { simulation, iterators: new Map(), client: proposal.client };
    const answer = new Promise((resolve, reject) => Object.assign(run, { resolve, reject }));
    this.running.set(tx, run);
    const late = () => run.reject(new ChaincodeError(notExecuted(tx, "timeout expired")));
    const timer = setTimeout(late, EXECUTE_MS);
    this.send(Type.TRANSACTION, tx, proposal.input.serializeBinary(), proposal.signed);
    try {
      return { simulation, ...(await answer) };
    } finally {
      clearTimeout(timer);
      this.running.delete(tx);
    }
  }

  /** Cuts the connection; until it is plugged in again the chaincode cannot be reached. */
  unplug() {
    this.isUnplugged = true;
    this.close();
  }

  /** Lets it be reached again. */
  plug() {
    this.isUnplugged = false;
  }

  /** Ends the connection, and with it what runs. */
  close() {
    this.connecting = null;
    this.stream?.cancel();
    this.client?.close();
    this.client = this.stream = null;
    for (const [tx, run] of this.running) {
      run.reject(new ChaincodeError(notExecuted(tx, "error sending: chaincode stream terminated")));
    }
  }

  // A peer connects when it needs to, and says it in these words when it cannot.
  async connected(tx) {
    try {
      if (this.isUnplugged) {
        throw new Error("unplugged");
      }
      this.connecting ??= this.connect();
      await this.connecting;
    } catch {
      this.close();
      throw new ChaincodeError(couldNotLaunch(tx, this.chaincodeId, this.address));
    }
  }

  connect() {
    this.client = new peer.ChaincodeClient(this.address, grpc.credentials.createInsecure());
    const stream = this.client.connect();
    this.stream = stream;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no registration")), CONNECT_MS);
      const ended = (error) => {
        clearTimeout(timer);
        reject(error);
        this.lost(stream);
      };
      const registered = () => {
        clearTimeout(timer);
        resolve();
      };
      stream.on("data", (message) => this.receive(message, registered, ended));
      stream.on("error", ended);
      stream.on("end", () => ended(new Error("the chaincode ended the stream")));
    });
  }

  lost(stream) {
    if (this.stream === stream) {
      this.close();
    }
  }

  receive(message, registered, refused) {
    const tx = message.getTxid();
    if (message.getType() === Type.REGISTER) {
      const id = peer.ChaincodeID.deserializeBinary(message.getPayload_asU8()).getName();
      if (id !== this.chaincodeId) {
        return refused(new Error(`chaincode ${id} registered`));
      }
      this.send(Type.REGISTERED, "");
      this.send(Type.READY, "");
      return registered();
    }
    const run = this.running.get(tx);
    // One that took too long may still speak: nobody listens.
    return run && this.serve(run, message, tx);
  }

  serve(run, message, tx) {
    if (message.getType() === Type.COMPLETED) {
      return complete(run, message);
    }
    const ask = ASKED[message.getType()];
    if (message.getType() === Type.ERROR || !ask) {
      const said = Buffer.from(message.getPayload_asU8()).toString("utf8");
      return run.reject(new ChaincodeError(said || `the chaincode sent ${message.getType()}`));
    }
    try {
      const answer = ask(run, Buffer.from(message.getPayload_asU8()), this);
      return this.send(Type.RESPONSE, tx, answer);
    } catch (error) {
      return this.send(Type.ERROR, tx, Buffer.from(error.message, "utf8"));
    }
  }

  send(type, tx, payload = Buffer.alloc(0), proposal = undefined) {
    const message = new ChaincodeMessage();
    message.setType(type);
    message.setTxid(tx);
    message.setChannelId(this.channel);
    message.setPayload(payload);
    message.setProposal(proposal);
    this.stream?.write(message);
  }
}

function complete(run, message) {
  const response = peer.Response.deserializeBinary(message.getPayload_asU8());
  if (response.getStatus() >= REFUSED) {
    return run.reject(new ChaincodeError(response.getMessage()));
  }
  const said = message.getChaincodeEvent();
  const event = said && said.getEventName() !== "" ? said : undefined;
  return run.resolve({
    payload: Buffer.from(response.getPayload_asU8()),
    event: event && {
      name: event.getEventName(),
      payload: Buffer.from(event.getPayload_asU8()),
    },
  });
}

// What chaincode may ask for while it runs. The other messages of the protocol are those that this
// project's chaincode never sends.
const ASKED = {
  [Type.GET_STATE](run, payload, at) {
    const asked = peer.GetState.deserializeBinary(payload);
    needsMember(run, at, asked.getCollection());
    return run.simulation.get(asked.getCollection(), asked.getKey());
  },
  [Type.GET_PRIVATE_DATA_HASH](run, payload) {
    const asked = peer.GetState.deserializeBinary(payload);
    return run.simulation.hash(asked.getCollection(), asked.getKey());
  },
  [Type.PUT_STATE](run, payload, at) {
    const asked = peer.PutState.deserializeBinary(payload);
    needsMember(run, at, asked.getCollection());
    const value = Buffer.from(asked.getValue_asU8());
    run.simulation.put(asked.getCollection(), asked.getKey(), value);
  },
  [Type.DEL_STATE](run, payload, at) {
    const asked = peer.DelState.deserializeBinary(payload);
    needsMember(run, at, asked.getCollection());
    run.simulation.put(asked.getCollection(), asked.getKey(), null);
  },
  [Type.GET_STATE_BY_RANGE](run, payload, at) {
    const asked = peer.GetStateByRange.deserializeBinary(payload);
    needsMember(run, at, asked.getCollection());
    if (asked.getMetadata_asU8().length > 0) {
      throw new Error("the double reads ranges without pages of the chaincode's own");
    }
    const { simulation } = run;
    const range = simulation.range(asked.getCollection(), asked.getStartkey(), asked.getEndkey());
    const id = String(run.iterators.size + 1);
    run.iterators.set(id, range);
    return queryResponse(id, range.next());
  },
  [Type.QUERY_STATE_NEXT](run, payload) {
    const id = peer.QueryStateNext.deserializeBinary(payload).getId();
    const range = run.iterators.get(id);
    if (!range) {
      throw new Error("query iterator not found");
    }
    return queryResponse(id, range.next());
  },
  [Type.QUERY_STATE_CLOSE](run, payload) {
    const id = peer.QueryStateClose.deserializeBinary(payload).getId();
    run.iterators.delete(id);
    return queryResponse(id, { rows: [], more: false });
  },
};

// Collections here are for their members' clients only, to read and to write.
function needsMember(run, at, collection) {
  if (collection === "" || at.members.get(collection)?.includes(run.client.msp)) {
    return;
  }
  if (!at.members.has(collection)) {
    throw new Error(`collection ${collection} could not be found`);
  }
  const what = "does not have read access permission on privatedata in chaincodeName";
  throw new Error(`tx creator ${what}:${at.chaincodeId} collectionName: ${collection}`);
}

function queryResponse(id, { rows, more }) {
  const response = new peer.QueryResponse();
  response.setId(id);
  response.setHasMore(more);
  response.setResultsList(
    rows.map(({ key, value }) => {
      const row = new ledger.queryresult.KV();
      row.setKey(key);
      row.setValue(value);
      const bytes = new peer.QueryResultBytes();
      bytes.setResultbytes(row.serializeBinary());
      return bytes;
    }),
  );
  return response.serializeBinary();
}

function couldNotLaunch(tx, id, address) {
  const refused = `dial tcp ${address}: connect: connection refused`;
  return notExecuted(
    tx,
    `could not launch chaincode ${id}: connection to ${id} failed: ` +
      `error cannot create connection for ${id}: error creating grpc connection to ${address}: ` +
      `failed to create new connection: connection error: desc = ` +
      `"transport: error while dialing: ${refused}"`,
  );
}

function notExecuted(tx, why) {
  return `error in simulation: failed to execute transaction ${tx}: ${why}`;
}

module.exports = { ChaincodeError, Peer };
