import type { Random } from '../../../proto/runtime/random.ts';
import type { EndpointRecord, LocalEndpoint, LocatedRecord } from '../endpoint-table.ts';
import type { Digest, Effects, Message, Peer, Range, Scope, Update } from './message.ts';
import { changeKey } from './message.ts';
import { append, noEffects } from './effects.ts';
import { OwnerView, sameDigest } from './owner-view.ts';
import { packDigests, packRanges, packUpdates } from './packing.ts';
import { PeerProgress } from './peer-progress.ts';
import { type OwnerStanding, RecordLists } from './record-lists.ts';
import { Roster } from './roster.ts';
import { childRanges, inScope, MOST_BUCKETS, rangeChecksum, WHOLE } from './range.ts';
import { sameEndpoint } from './same-endpoint.ts';
import { sample } from './sample.ts';
import { SyncRound } from './sync-round.ts';

export interface ReplicaOptions {
  nodeId: string;
  networkId: string;
  /** Of this node's part; greater than in every earlier life, best the time of its beginning. A wrong one is put right. */
  incarnation: number;
  /** When the node says that it has published all it has: not before its daemon has had time to. */
  settleAtMs: number;
  /** Own content is sent to all peers up to this many, above to some that pass it on. Default 50. */
  directPeers?: number;
}

/** What the replica needs to know of owners. */
export interface Owners {
  standing(owner: string): OwnerStanding;
}

const DIGEST_INTERVAL_MS = 1_000;
const UNSYNCED_FIRST_MS = 100;
const UNSYNCED_PARTNERS = 8;
/** New peers above this are not all exchanged with at once. */
const NEW_PARTNERS = 16;
/** Up to so many digests are sent without comparing checksums of ranges first. */
const DIGESTS_AT_ONCE = 24;
const TOMBSTONE_MS = 30 * 60_000;
const REAP_INTERVAL_MS = 5_000;
/** An owner that is no peer any more is forgotten after this. */
const SUSPENDED_MS = 24 * 3_600_000;
/** Against endless reissues when two nodes claim one ID. */
const REISSUE_PAUSE_MS = 5_000;

/**
 * One network's records on one node, without I/O. Inputs: publish, withdraw, flush, setPeers, reconsider, receive, tick; each
 * returns what the caller owes (Effects). The state is changed before the effects are handed out; sends may be lost.
 *
 * Ways content travels: `flush` tells all peers at once what is new, or with many peers ln n + 4 of them, which pass it on
 * (Kermarrec, Massoulie, Ganesh 2003: ln n + c reach all with probability exp(-exp(-c))); PeerProgress repeats it until their
 * digest equals ours; every second checksums are compared with one random peer, and where they differ digests (anti-entropy,
 * Demers et al. 1987; ranges as in a Merkle tree), and both sides send what the other lacks.
 * Invariants: only `nodeId` changes its own view; an owner that is dead or no member is kept and not served.
 */
export class ReplicaCore {
  readonly #nodeId: string;
  readonly #networkId: string;
  readonly #owners: Owners;
  readonly #settleAtMs: number;
  readonly #directPeers: number;
  readonly #random: Random;
  readonly #own: OwnerView;
  readonly #views = new Map<string, OwnerView>();
  readonly #progress = new Map<string, PeerProgress>();
  readonly #suspendedAtMs = new Map<string, number>();
  readonly #lists: RecordLists;
  readonly #sync = new SyncRound();
  #peers = new Roster([]);
  #peersKnown = false;
  #settled = false;
  #nextDigestAtMs = 0;
  /** With many peers: what was last sent of the own content. */
  #flushed: Digest | undefined;
  #unsyncedMs = UNSYNCED_FIRST_MS;
  #nextReapAtMs = 0;
  #reissuedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ReplicaOptions, modules: { owners: Owners; random: Random }) {
    this.#nodeId = options.nodeId;
    this.#networkId = options.networkId;
    this.#settleAtMs = options.settleAtMs;
    this.#directPeers = options.directPeers ?? 50;
    this.#owners = modules.owners;
    this.#random = modules.random;
    this.#own = new OwnerView(options.nodeId);
    this.#own.incarnation = options.incarnation;
    this.#views.set(options.nodeId, this.#own);
    this.#lists = new RecordLists(this.#views, (owner) =>
      owner === this.#nodeId ? 'served' : this.#owners.standing(owner),
    );
  }

  /** True while this node has records here. */
  get hasOwn(): boolean {
    return this.#own.digest().count > 0;
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
    if (!this.#isFew()) {
      if (this.#flushed !== undefined && sameDigest(this.#flushed, own)) return effects;
      const content = own.sequence === 0 ? [] : this.#own.contentFor(this.#flushed);
      for (const peer of this.#some(this.#nodeId)) this.#sendUpdates(effects, peer, content);
      this.#flushed = own;
      return effects;
    }
    for (const peer of this.#others()) {
      const progress = this.#progressOf(peer.nodeId);
      if (progress.hasBeenTold(own)) continue;
      this.#sendUpdates(effects, peer, this.#own.contentFor(progress.assumed(own)));
      progress.told(own, nowMs);
    }
    return effects;
  }

  /**
   * Living nodes that hold this network too; new ones are exchanged with at once.
   * @param complete all of them are known: with all of them exchanged, this replica is synced.
   */
  setPeers(peers: Roster, complete: boolean, nowMs: number): Effects {
    const effects = noEffects();
    const before = this.#peers;
    this.#peers = peers;
    this.#peersKnown = complete;
    if (before !== peers) {
      for (const { nodeId } of before.peers) {
        if (peers.has(nodeId)) continue;
        this.#progress.delete(nodeId);
        this.#sync.drop(nodeId);
      }
    }
    const fresh = this.#others().filter((peer) => {
      const known = before.get(peer.nodeId);
      return known?.host !== peer.host || known.port !== peer.port;
    });
    if (fresh.length > 0) this.#unsyncedMs = UNSYNCED_FIRST_MS;
    const partners = fresh.length <= NEW_PARTNERS ? fresh : this.#synced() ? [] : sample(fresh, 3, this.#random);
    for (const peer of partners) this.#sendDigests(effects, peer, true, WHOLE);
    append(effects, this.flush(nowMs));
    return effects;
  }

  /** These owners' standing may have changed. */
  reconsider(owners: Iterable<string>): Effects {
    const effects = noEffects();
    for (const owner of owners) {
      const view = this.#views.get(owner);
      if (view === undefined || owner === this.#nodeId) continue;
      this.#touch(effects, view.networks());
      if (this.#owners.standing(owner) === 'left') this.#views.delete(owner);
    }
    return effects;
  }

  /** @param source where the message came from; answers to nodes that are not yet peers go there. */
  receive(message: Message, source: { host: string; port: number }, nowMs: number): Effects {
    const effects = noEffects();
    if (message.from === this.#nodeId) return effects;
    const peer = this.#peers.get(message.from) ?? { nodeId: message.from, ...source };
    this.#receiveUpdates(effects, message, peer, nowMs);
    this.#receiveDigests(effects, message, peer, nowMs);
    this.#receiveRanges(effects, message, peer);
    const entire = (message.first || message.digestCount > 0) && message.scope.buckets === 1;
    if (entire && this.#peers.has(message.from)) this.#sync.answered(message);
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
      this.#compare(effects, nowMs);
    }
    if (nowMs >= this.#nextReapAtMs) this.#reap(effects, nowMs);
    return effects;
  }

  /** Live records: own ones and those of members that are not dead. */
  records(): readonly EndpointRecord[] {
    return this.#lists.served();
  }

  /** Live records, and those of members that are dead, but of none that left. */
  located(): readonly LocatedRecord[] {
    return this.#lists.located();
  }

  /** Whether the owner has said, as far as is known here, all that it has. */
  knows(owner: string): boolean {
    return (this.#views.get(owner)?.coveredTo ?? 0) > 0;
  }

  /** True once a full exchange with a synced peer, or with every peer, has been done, or it is known that there is none. */
  synced(): boolean {
    return this.#synced();
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
      if (this.#owners.standing(update.owner) === 'left') continue;
      const view = this.#viewOf(update.owner);
      const { changed, advanced } = view.apply(update, nowMs);
      this.#touch(effects, changed);
      if (advanced) passOn.push(update);
      if (update.owner === message.from && this.#isFew()) acknowledge.push(view.digest());
    }
    if (acknowledge.length > 0) this.#send(effects, peer, { digests: acknowledge.slice(-1) });
    if (passOn.length > 0 && !this.#isFew()) {
      for (const target of this.#some(peer.nodeId)) this.#sendUpdates(effects, target, passOn);
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
      for (const owner of this.#shared(message.scope)) {
        if (!theirs.has(owner)) updates.push(...this.#unheardOf(owner, peer, nowMs));
      }
    }
    if (message.digestCount > 0 && !message.replyWanted) this.#ask(effects, message, peer);
    this.#sendUpdates(effects, peer, updates);
    // One answer to a list, however many messages it came in.
    if (message.replyWanted && message.first) this.#sendDigests(effects, peer, false, message.scope);
  }

  /** Where checksums differ: finer ranges, or digests when there are few. */
  #receiveRanges(effects: Effects, message: Message, peer: Peer): void {
    const finer: Range[] = [];
    for (const range of message.ranges) {
      const digests = this.#digestsOf(range);
      if (rangeChecksum(digests) === range.checksum) continue;
      const few = Math.min(digests.length, range.count) <= DIGESTS_AT_ONCE || range.buckets >= MOST_BUCKETS;
      if (few) this.#sendDigests(effects, peer, true, range);
      else finer.push(...childRanges(range, digests));
    }
    for (const group of packRanges(finer)) this.#send(effects, peer, { ranges: group });
  }

  #compare(effects: Effects, nowMs: number): void {
    const synced = this.#synced();
    this.#nextDigestAtMs = nowMs + (synced ? DIGEST_INTERVAL_MS : this.#unsyncedMs);
    this.#unsyncedMs = Math.min(DIGEST_INTERVAL_MS, this.#unsyncedMs * 2);
    const digests = this.#digestsOf(WHOLE);
    const whole = { ...WHOLE, count: digests.length, checksum: rangeChecksum(digests) };
    for (const peer of this.#partners()) {
      if (synced) this.#send(effects, peer, { ranges: [whole] });
      else this.#sendDigests(effects, peer, true, WHOLE);
    }
  }

  #synced(): boolean {
    return this.#peersKnown && this.#sync.done(() => this.#others().map((peer) => peer.nodeId));
  }

  #digestsOf(scope: Scope): Digest[] {
    return this.#shared(scope).flatMap((owner) => {
      const digest = this.#views.get(owner)?.digest();
      // Of whom nothing was ever said there is nothing to compare. A life in which nothing was said yet counts: its owner may have
      // begun another since, with a clock that went back, and must hear of it to overrule it.
      return digest === undefined || digest.incarnation === 0 ? [] : [digest];
    });
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
    if (!this.#isFew()) return;
    for (const [nodeId, progress] of this.#progress) {
      const peer = this.#peers.get(nodeId);
      if (peer !== undefined && progress.due(nowMs)) this.#tellAgain(effects, peer, nowMs);
    }
  }

  #reap(effects: Effects, nowMs: number): void {
    this.#nextReapAtMs = nowMs + REAP_INTERVAL_MS;
    const own = this.#own.digest();
    let ackedTo = Number.POSITIVE_INFINITY;
    // With many peers nobody is asked one by one; one that was told nothing of a tombstone in all that time gets a snapshot.
    if (this.#isFew())
      for (const peer of this.#others()) ackedTo = Math.min(ackedTo, this.#progressOf(peer.nodeId).ackedTo(own));
    for (const view of [...this.#views.values()]) {
      if (view !== this.#own && this.#owners.standing(view.owner) === 'foreign') {
        const since = this.#suspendedAtMs.get(view.owner) ?? nowMs;
        this.#suspendedAtMs.set(view.owner, since);
        if (nowMs - since >= SUSPENDED_MS) this.#views.delete(view.owner);
      } else this.#suspendedAtMs.delete(view.owner);
      const needed = view === this.#own ? ackedTo : Number.POSITIVE_INFINITY;
      this.#touch(effects, view.reap(nowMs, nowMs - TOMBSTONE_MS, needed));
    }
  }

  #viewOf(owner: string): OwnerView {
    let view = this.#views.get(owner);
    if (view === undefined) {
      view = new OwnerView(owner);
      this.#views.set(owner, view);
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

  /** Owners whose state is exchanged: the node itself and the members, the dead ones too. */
  #shared(scope: Scope): string[] {
    return [...this.#views.keys()].filter(
      (owner) =>
        inScope(owner, scope) &&
        (owner === this.#nodeId || ['served', 'suspended'].includes(this.#owners.standing(owner))),
    );
  }

  #isFew(): boolean {
    return this.#peers.peers.length <= this.#directPeers;
  }

  /** The roster may name this node too. */
  #others(): Peer[] {
    return this.#peers.peers.filter((peer) => peer.nodeId !== this.#nodeId);
  }

  /** One random peer; until synced also some of those that have not answered yet, or a lost packet would cost n seconds. */
  #partners(): Set<Peer> {
    const missing = this.#sync
      .missing(() => this.#others().map((peer) => peer.nodeId))
      .flatMap((nodeId) => this.#peers.get(nodeId) ?? []);
    const some = sample(missing, this.#isFew() ? UNSYNCED_PARTNERS : 4, this.#random);
    const [any] = this.#sample(1, this.#nodeId);
    return new Set(any === undefined ? some : [any, ...some]);
  }

  /** ln n + 4 peers: with each passing on to as many, all are reached with a probability of exp(-exp(-4)) = 0.98 and more. */
  #some(except: string): Peer[] {
    return this.#sample(Math.ceil(Math.log(this.#peers.peers.length + 1)) + 4, except);
  }

  #sample(count: number, except: string): Peer[] {
    const some = sample(this.#peers.peers, count + 2, this.#random);
    return some.filter(({ nodeId }) => nodeId !== this.#nodeId && nodeId !== except).slice(0, count);
  }

  #announce(networks: Set<string>): Effects {
    const effects = noEffects();
    this.#touch(effects, networks);
    return effects;
  }

  #touch(effects: Effects, networks: Iterable<string> | undefined): void {
    for (const networkId of networks ?? []) effects.changed.add(networkId);
    this.#lists.forget();
  }

  #sendDigests(effects: Effects, peer: Peer, replyWanted: boolean, scope: Scope): void {
    const digests = this.#digestsOf(scope);
    const digestCount = digests.length;
    const { bucket, buckets } = scope;
    for (const [index, group] of packDigests(digests).entries()) {
      const first = index === 0;
      this.#send(effects, peer, { digests: group, replyWanted, digestCount, first, scope: { bucket, buckets } });
    }
  }

  #sendUpdates(effects: Effects, peer: Peer, updates: readonly Update[]): void {
    for (const group of packUpdates(updates)) this.#send(effects, peer, { updates: group });
  }

  #send(effects: Effects, peer: Peer, content: Partial<Message>): void {
    const message: Message = {
      from: this.#nodeId,
      networkId: this.#networkId,
      scope: WHOLE,
      first: false,
      ranges: [],
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
