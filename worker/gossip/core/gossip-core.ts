import type { Random } from '../../../proto/runtime/random.ts';
import type { EndpointRecord, LocalEndpoint } from '../endpoint-table.ts';
import type { Digest, Effects, Message, Peer, Update } from './message.ts';
import { changeKey } from './message.ts';
import { OwnerView, sameDigest } from './owner-view.ts';
import { packDigests, packUpdates } from './packing.ts';
import { PeerProgress } from './peer-progress.ts';
import { SyncRound } from './sync-round.ts';

export interface GossipOptions {
  nodeId: string;
  /** Milliseconds since the epoch at the start of the daemon. */
  startedAtMs: number;
  /** How long after the start the node waits before it says that it has published all it has. Default 2 s. */
  settleMs?: number;
  /** Own content is sent to all peers up to this many, above to some that pass it on. Default 50. */
  directPeers?: number;
}

const DIGEST_INTERVAL_MS = 1_000;
const UNSYNCED_PARTNERS = 8;
const TOMBSTONE_MS = 30 * 60_000;
const REAP_INTERVAL_MS = 5_000;
/** An owner that is no peer any more is forgotten after this. */
const SUSPENDED_MS = 24 * 3_600_000;
/** Against endless reissues when two nodes claim one ID. */
const REISSUE_PAUSE_MS = 5_000;

/**
 * Endpoint gossip without I/O. Inputs: publish, withdraw, flush, setPeers, receive, tick; each returns what the
 * caller owes (Effects). The state is changed before the effects are handed out; sends may be lost.
 *
 * Ways content travels: `flush` tells all peers at once what is new; PeerProgress repeats it until their digest equals
 * ours; every second one random peer is sent all our digests (anti-entropy, Demers et al. 1987) and both sides send what
 * the other lacks. Invariants: only `nodeId` changes its own view; an owner outside the peer list is kept and not served.
 */
export class GossipCore {
  readonly #nodeId: string;
  readonly #settleAtMs: number;
  readonly #directPeers: number;
  readonly #random: Random;
  readonly #own: OwnerView;
  readonly #views = new Map<string, OwnerView>();
  readonly #progress = new Map<string, PeerProgress>();
  readonly #suspendedAtMs = new Map<string, number>();
  readonly #served = new Map<string, readonly EndpointRecord[]>();
  readonly #sync = new SyncRound();
  #peers = new Map<string, Peer>();
  #peersKnown = false;
  #settled = false;
  #nextDigestAtMs = 0;
  #nextReapAtMs = 0;
  #reissuedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: GossipOptions, random: Random) {
    this.#nodeId = options.nodeId;
    this.#settleAtMs = options.startedAtMs + (options.settleMs ?? 2_000);
    this.#directPeers = options.directPeers ?? 50;
    this.#random = random;
    this.#own = new OwnerView(options.nodeId);
    this.#own.incarnation = options.startedAtMs;
    this.#views.set(options.nodeId, this.#own);
  }

  /** Changes the own view; told to peers by the next flush. The same content again is no change. */
  publish(endpoint: LocalEndpoint, nowMs: number): Effects {
    if (sameEndpoint(this.#own.find(changeKey(endpoint)), endpoint)) return noEffects();
    const { networkId, endpointId } = endpoint;
    return this.#announce(this.#own.append({ networkId, endpointId, endpoint }, nowMs, this.#settled));
  }

  withdraw(networkId: string, endpointId: string, nowMs: number): Effects {
    const change = { networkId, endpointId };
    if (this.#own.find(changeKey(change)) === undefined) return noEffects();
    return this.#announce(this.#own.append(change, nowMs, this.#settled));
  }

  /** Sends what was published since the last flush. */
  flush(nowMs: number): Effects {
    const effects = noEffects();
    const own = this.#own.digest();
    for (const peer of this.#targets()) {
      const progress = this.#progressOf(peer.nodeId);
      if (progress.hasBeenTold(own)) continue;
      this.#sendUpdates(effects, peer, this.#own.contentFor(progress.assumed(own)));
      progress.told(own, nowMs);
    }
    return effects;
  }

  /** The other nodes of the swarm. New ones are exchanged with at once; owners that left are suspended. */
  setPeers(peers: readonly Peer[], nowMs: number): Effects {
    const effects = noEffects();
    const before = this.#peers;
    this.#peers = new Map(peers.filter((peer) => peer.nodeId !== this.#nodeId).map((peer) => [peer.nodeId, peer]));
    this.#peersKnown = true;
    for (const nodeId of before.keys()) {
      if (this.#peers.has(nodeId)) continue;
      this.#progress.delete(nodeId);
      this.#sync.drop(nodeId);
      this.#suspendedAtMs.set(nodeId, nowMs);
      this.#touch(effects, this.#views.get(nodeId)?.networks());
    }
    for (const peer of this.#peers.values()) {
      const known = before.get(peer.nodeId);
      if (known === undefined) {
        this.#suspendedAtMs.delete(peer.nodeId);
        this.#touch(effects, this.#views.get(peer.nodeId)?.networks());
      }
      if (known?.host !== peer.host || known.port !== peer.port) this.#sendDigests(effects, peer, true);
    }
    append(effects, this.flush(nowMs));
    return effects;
  }

  /** @param source where the message came from; answers to nodes that are not yet peers go there. */
  receive(message: Message, source: { host: string; port: number }, nowMs: number): Effects {
    const effects = noEffects();
    if (message.from === this.#nodeId) return effects;
    const peer = this.#peers.get(message.from) ?? { nodeId: message.from, ...source };
    this.#receiveUpdates(effects, message, peer, nowMs);
    this.#receiveDigests(effects, message, peer, nowMs);
    if (message.digestCount > 0 && this.#peers.has(message.from)) this.#sync.answered(message);
    this.#sync.advance((owner) => this.#views.get(owner)?.digest());
    return effects;
  }

  /** Repeats, compares and forgets what is due; to be called about every 50 ms. */
  tick(nowMs: number): Effects {
    const effects = noEffects();
    if (!this.#settled && nowMs >= this.#settleAtMs) {
      this.#settled = true;
      this.#own.settle();
      append(effects, this.flush(nowMs));
    }
    this.#retry(effects, nowMs);
    if (nowMs >= this.#nextDigestAtMs) {
      this.#nextDigestAtMs = nowMs + DIGEST_INTERVAL_MS;
      for (const peer of this.#partners()) this.#sendDigests(effects, peer, true);
    }
    if (nowMs >= this.#nextReapAtMs) this.#reap(effects, nowMs);
    return effects;
  }

  /** Live records of one network: own ones and those of peers. */
  network(networkId: string): readonly EndpointRecord[] {
    const cached = this.#served.get(networkId);
    if (cached !== undefined) return cached;
    const records: EndpointRecord[] = [];
    for (const view of this.#views.values()) {
      if (!this.#serves(view.owner)) continue;
      for (const endpoint of view.endpoints()) {
        if (endpoint.networkId === networkId) records.push({ ...endpoint, owner: view.owner });
      }
    }
    this.#served.set(networkId, records);
    return records;
  }

  /** True once a full exchange with a synced peer, or with every peer, has been done, or it is known that there is none. */
  synced(): boolean {
    if (!this.#peersKnown) return false;
    return this.#sync.done([...this.#peers.keys()]);
  }

  /** For tests and diagnosis: what is held of each owner. */
  digests(): Digest[] {
    return Array.from(this.#views.values(), (view) => view.digest());
  }

  #receiveUpdates(effects: Effects, message: Message, peer: Peer, nowMs: number): void {
    const acknowledge: Digest[] = [];
    const passOn: Update[] = [];
    for (const update of message.updates) {
      if (update.owner === this.#nodeId) {
        this.#defend(effects, update.incarnation, update.covers, nowMs);
        continue;
      }
      const view = this.#viewOf(update.owner, nowMs);
      const { changed, advanced } = view.apply(update, nowMs);
      this.#touch(effects, changed);
      if (advanced) passOn.push(update);
      if (update.owner === message.from) acknowledge.push(view.digest());
    }
    if (acknowledge.length > 0) this.#send(effects, peer, { digests: acknowledge.slice(-1) });
    if (passOn.length > 0 && this.#peers.size > this.#directPeers) {
      for (const target of this.#some()) if (target.nodeId !== peer.nodeId) this.#sendUpdates(effects, target, passOn);
    }
  }

  #receiveDigests(effects: Effects, message: Message, peer: Peer, nowMs: number): void {
    const theirs = new Map(message.digests.map((digest) => [digest.owner, digest]));
    const updates: Update[] = [];
    for (const digest of theirs.values()) {
      if (digest.owner === this.#nodeId) this.#hearOfOwn(effects, digest, peer, message, nowMs);
      else updates.push(...this.#lacking(digest.owner, digest));
    }
    const whole = message.digestCount === theirs.size;
    if (message.replyWanted && whole) {
      for (const owner of this.#shared()) if (!theirs.has(owner)) updates.push(...this.#unheardOf(owner, peer, nowMs));
    }
    if (message.digestCount > 0 && !message.replyWanted) this.#ask(effects, message, peer);
    this.#sendUpdates(effects, peer, updates);
    // One answer to a list, however many messages it came in; its first one begins with the sender.
    if (message.replyWanted && message.digests[0]?.owner === message.from) this.#sendDigests(effects, peer, false);
  }

  /** Content of an owner that is not on the peer's list at all. */
  #unheardOf(owner: string, peer: Peer, nowMs: number): Update[] {
    if (owner === this.#nodeId && this.#peers.has(peer.nodeId)) {
      this.#progressOf(peer.nodeId).restart(this.#own.digest(), nowMs);
    }
    return this.#lacking(owner, undefined);
  }

  /** An answer names owners that are unknown here: says so, and so gets their content. */
  #ask(effects: Effects, message: Message, peer: Peer): void {
    const unknown = message.digests.filter(
      ({ owner, incarnation }) => incarnation > 0 && (this.#views.get(owner)?.incarnation ?? 0) === 0,
    );
    const digests = unknown.map(({ owner }) => new OwnerView(owner).digest());
    if (digests.length > 0) this.#send(effects, peer, { digests });
  }

  #hearOfOwn(effects: Effects, digest: Digest, peer: Peer, message: Message, nowMs: number): void {
    this.#defend(effects, digest.incarnation, digest.sequence, nowMs);
    const own = this.#own.digest();
    if (
      digest.incarnation === own.incarnation &&
      digest.sequence === own.sequence &&
      digest.coveredTo === own.coveredTo &&
      own.coveredTo > 0 &&
      !sameDigest(digest, own)
    ) {
      this.#reissue(effects, own.incarnation, nowMs);
    }
    if (!this.#peers.has(peer.nodeId)) {
      this.#sendUpdates(effects, peer, this.#lacking(this.#nodeId, digest));
      return;
    }
    const progress = this.#progressOf(peer.nodeId);
    const current = this.#own.digest();
    const lost = progress.heard(digest, current);
    if (lost || (message.replyWanted && !progress.acknowledged(current))) this.#tellAgain(effects, peer, nowMs);
  }

  /** Someone knows more of this node than it does: a life that it has forgotten, or a clock that went back. */
  #defend(effects: Effects, incarnation: number, sequence: number, nowMs: number): void {
    const own = this.#own;
    if (incarnation < own.incarnation || (incarnation === own.incarnation && sequence <= own.sequence)) return;
    this.#reissue(effects, incarnation, nowMs);
  }

  #reissue(effects: Effects, seen: number, nowMs: number): void {
    if (nowMs - this.#reissuedAtMs < REISSUE_PAUSE_MS && seen <= this.#own.incarnation) return;
    this.#reissuedAtMs = nowMs;
    this.#own.reissue(Math.max(seen, this.#own.incarnation) + 1, this.#settled);
    append(effects, this.flush(nowMs));
  }

  #lacking(owner: string, theirs: Digest | undefined): Update[] {
    const view = this.#views.get(owner);
    if (view === undefined || view.incarnation === 0) return [];
    if (theirs !== undefined && sameDigest(theirs, view.digest())) return [];
    return view.contentFor(theirs);
  }

  #tellAgain(effects: Effects, peer: Peer, nowMs: number): void {
    const progress = this.#progressOf(peer.nodeId);
    this.#sendUpdates(effects, peer, this.#own.contentFor(progress.digest));
    progress.told(this.#own.digest(), nowMs);
  }

  #retry(effects: Effects, nowMs: number): void {
    if (this.#peers.size > this.#directPeers) return;
    for (const [nodeId, progress] of this.#progress) {
      const peer = this.#peers.get(nodeId);
      if (peer !== undefined && progress.due(nowMs)) this.#tellAgain(effects, peer, nowMs);
    }
  }

  #reap(effects: Effects, nowMs: number): void {
    this.#nextReapAtMs = nowMs + REAP_INTERVAL_MS;
    const own = this.#own.digest();
    let ackedTo = Number.POSITIVE_INFINITY;
    for (const nodeId of this.#peers.keys()) ackedTo = Math.min(ackedTo, this.#progressOf(nodeId).ackedTo(own));
    for (const view of [...this.#views.values()]) {
      const suspendedAt = this.#suspendedAtMs.get(view.owner);
      if (suspendedAt !== undefined && nowMs - suspendedAt >= SUSPENDED_MS) {
        this.#views.delete(view.owner);
        this.#suspendedAtMs.delete(view.owner);
        continue;
      }
      const needed = view === this.#own ? ackedTo : Number.POSITIVE_INFINITY;
      this.#touch(effects, view.reap(nowMs, nowMs - TOMBSTONE_MS, needed));
    }
  }

  #viewOf(owner: string, nowMs: number): OwnerView {
    let view = this.#views.get(owner);
    if (view === undefined) {
      view = new OwnerView(owner);
      this.#views.set(owner, view);
      if (!this.#peers.has(owner)) this.#suspendedAtMs.set(owner, nowMs);
    }
    return view;
  }

  #progressOf(nodeId: string): PeerProgress {
    let progress = this.#progress.get(nodeId);
    if (progress === undefined) {
      progress = new PeerProgress();
      this.#progress.set(nodeId, progress);
    }
    return progress;
  }

  #serves(owner: string): boolean {
    return owner === this.#nodeId || this.#peers.has(owner);
  }

  /** Owners whose state is exchanged: the node itself and its peers. */
  #shared(): string[] {
    return [...this.#views.keys()].filter((owner) => this.#serves(owner));
  }

  #targets(): Peer[] {
    return this.#peers.size <= this.#directPeers ? [...this.#peers.values()] : this.#some();
  }

  /** One random peer; until synced also some of those that have not answered yet, or a lost packet would cost n seconds. */
  #partners(): Set<Peer> {
    const missing = this.#sync.missing([...this.#peers.keys()]).flatMap((nodeId) => this.#peers.get(nodeId) ?? []);
    const start = Math.floor(this.#random() * missing.length);
    const some = [...missing.slice(start), ...missing.slice(0, start)].slice(0, UNSYNCED_PARTNERS);
    const any = pick([...this.#peers.values()], this.#random);
    return new Set(any === undefined ? some : [any, ...some]);
  }

  /** Twice log2(n) peers: with each passing on to as many, all are reached with overwhelming probability. */
  #some(): Peer[] {
    const left = [...this.#peers.values()];
    const wanted = Math.min(left.length, 2 * Math.ceil(Math.log2(left.length + 1)));
    return Array.from({ length: wanted }, () => left.splice(Math.floor(this.#random() * left.length), 1)).flat();
  }

  #announce(networks: Set<string>): Effects {
    const effects = noEffects();
    this.#touch(effects, networks);
    return effects;
  }

  #touch(effects: Effects, networks: Iterable<string> | undefined): void {
    for (const networkId of networks ?? []) {
      effects.changed.add(networkId);
      this.#served.delete(networkId);
    }
  }

  #sendDigests(effects: Effects, peer: Peer, replyWanted: boolean): void {
    const digests = this.#shared().flatMap((owner) => this.#views.get(owner)?.digest() ?? []);
    const digestCount = digests.length;
    for (const group of packDigests(digests)) this.#send(effects, peer, { digests: group, replyWanted, digestCount });
  }

  #sendUpdates(effects: Effects, peer: Peer, updates: readonly Update[]): void {
    for (const group of packUpdates(updates)) this.#send(effects, peer, { updates: group });
  }

  #send(effects: Effects, peer: Peer, content: Partial<Message>): void {
    const message: Message = {
      from: this.#nodeId,
      digests: [],
      replyWanted: false,
      updates: [],
      digestCount: 0,
      synced: this.synced(),
      ...content,
    };
    effects.sends.push({ host: peer.host, port: peer.port, message });
  }
}

function noEffects(): Effects {
  return { sends: [], changed: new Set() };
}

function append(effects: Effects, more: Effects): void {
  effects.sends.push(...more.sends);
  for (const networkId of more.changed) effects.changed.add(networkId);
}

function pick<T>(from: readonly T[], random: Random): T | undefined {
  return from[Math.floor(random() * from.length)];
}

function sameEndpoint(a: LocalEndpoint | undefined, b: LocalEndpoint): boolean {
  return (
    a !== undefined &&
    a.address === b.address &&
    a.mac === b.mac &&
    a.vtep === b.vtep &&
    a.vni === b.vni &&
    sameNames(a.names, b.names) &&
    sameNames(a.services, b.services)
  );
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}
