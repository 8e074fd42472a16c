import type { LocalEndpoint } from '../endpoint-table.ts';

/** One change of one endpoint by its owner; without `endpoint` it is a tombstone. */
export interface Change {
  networkId: string;
  endpointId: string;
  /** Every change of an owner has its own, counted from 1 in each incarnation. */
  sequence: number;
  endpoint?: LocalEndpoint;
}

/** What a node holds of one owner. Two equal digests mean equal views. */
export interface Digest {
  owner: string;
  incarnation: number;
  /** Highest seen. */
  sequence: number;
  /** Live records. */
  count: number;
  checksum: number;
  /** Nothing is missing up to here. Invariant: <= sequence. 0 while the owner has not yet said what it has. */
  coveredTo: number;
}

/** Content of one owner: a receiver that is covered to `base` or beyond is covered to `covers` afterwards. */
export interface Update {
  owner: string;
  incarnation: number;
  base: number;
  /** 0: the sender cannot tell what is missing between the changes. */
  covers: number;
  /** `changes` name all there is above `base` up to `covers`: what they do not name is gone. */
  snapshot: boolean;
  changes: readonly Change[];
}

/** Owners whose hash modulo `buckets` is `bucket`. 0 of 1: all. */
export interface Scope {
  bucket: number;
  buckets: number;
}

/** What the sender holds of the owners of a scope, in short. */
export interface Range extends Scope {
  count: number;
  /** Over their digests. */
  checksum: number;
}

export interface Message {
  /** Node ID of the sender. */
  from: string;
  /** Everything in one message is of one network. */
  networkId: string;
  /** Of the digests. */
  scope: Scope;
  digests: readonly Digest[];
  /** The digests are all that the sender has in the scope: answer with content and with yours. */
  replyWanted: boolean;
  updates: readonly Update[];
  /** Digests of the whole list or answer, over all its messages; 0 in anything else. */
  digestCount: number;
  /** The first message of a list of digests. */
  first: boolean;
  ranges: readonly Range[];
  /** The sender has itself done a full exchange since its start. */
  synced: boolean;
}

/** Another node as the manager told us of it. */
export interface Peer {
  nodeId: string;
  host: string;
  port: number;
}

/** A message owed to one address. Messages may be lost, late, doubled and reordered. */
export interface Send {
  host: string;
  port: number;
  message: Message;
}

/** What the caller owes after an input: the state is already changed when it announces and sends. */
export interface Effects {
  sends: Send[];
  /** Networks whose live records are no longer what they were. */
  changed: Set<string>;
}

/** Identifies an endpoint among those of one owner. */
export function changeKey(change: { networkId: string; endpointId: string }): string {
  return `${change.networkId}/${change.endpointId}`;
}
