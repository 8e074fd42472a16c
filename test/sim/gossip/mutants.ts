import type { Edit } from '../mutated-sources.ts';

/** Broken variants of the cores, each one the removal of a rule. The histories are worth what they find of these. */
export interface Mutant extends Edit {
  id: string;
  /** What the rule is and where it is from. */
  rule: string;
  /** Seed to begin with, near one that shows it; default 1. */
  from?: number;
}

/** No rule is broken by these, they only happen sooner than in production: histories are short. */
export const HASTE: readonly Edit[] = [
  { file: 'replica-core.ts', find: 'const TOMBSTONE_MS = 30 * 60_000;', replace: 'const TOMBSTONE_MS = 200;' },
  { file: 'replica-core.ts', find: 'const REAP_INTERVAL_MS = 5_000;', replace: 'const REAP_INTERVAL_MS = 100;' },
];

export const MUTANTS: readonly Mutant[] = [
  {
    id: 'does not object',
    rule: 'SWIM 4.2: a suspected member objects with a greater incarnation',
    file: 'swim-core.ts',
    find: '    if (this.#leaving) return;\n    if (news.state ===',
    replace: '    if (this.#incarnation > 0) return;\n    if (news.state ===',
  },
  {
    id: 'objects with the same incarnation',
    rule: 'SWIM 4.2: only a greater incarnation clears a suspicion',
    file: 'swim-core.ts',
    find: 'this.#incarnation = news.incarnation + 1;',
    replace: 'this.#incarnation = news.incarnation;',
  },
  {
    id: 'a suspicion never ends',
    rule: 'SWIM 4.2: a suspect is declared dead after a time-out',
    file: 'swim-core.ts',
    find: 'if (this.#nowMs >= suspicion.deadlineMs) this.#condemn(nodeId);',
    replace: 'if (this.#nowMs < 0) this.#condemn(nodeId);',
  },
  {
    id: 'silence is no suspicion',
    rule: 'SWIM 3.1: who answers neither directly nor to others is suspected',
    file: 'prober.ts',
    find: '    this.#outlet.unreached(probe.target.nodeId);\n',
    replace: '',
  },
  {
    id: 'an old incarnation counts',
    rule: 'SWIM 4.2: order of statements',
    file: 'member-list.ts',
    find: 'return news.incarnation > known.incarnation;',
    replace: 'return true;',
  },
  {
    id: 'any other statement counts at the same incarnation',
    from: 130,
    rule: 'SWIM 4.2: at the same incarnation the worse statement',
    file: 'member-list.ts',
    find: 'return RANK[news.state] > RANK[known.state];',
    replace: 'return RANK[news.state] !== RANK[known.state];',
  },
  {
    id: 'the dead are left alone',
    rule: 'halves of a mended partition find each other by pinging the dead',
    file: 'swim-core.ts',
    find: "if (peer !== undefined) this.#send(peer, 'ping', { sequence: 0 });",
    replace: 'if (peer === undefined) return;',
  },
  {
    id: 'states are not compared',
    from: 15,
    rule: 'what was said while a node was away reaches it by a comparison of states',
    file: 'swim-core.ts',
    find: 'if (this.#nowMs < this.#nextSyncAtMs || ',
    replace: 'if (this.#nowMs >= 0 || ',
  },
  {
    id: 'who is taken off the list is remembered',
    rule: 'members are exactly those that the manager names',
    file: 'member-list.ts',
    find: 'for (const nodeId of went) this.#replace(nodeId, undefined);',
    replace: '',
  },
  {
    id: 'any other life is taken for a newer one',
    from: 15,
    rule: 'order of what an owner says: incarnation, then sequence',
    file: 'owner-view.ts',
    find: 'if (update.incarnation < this.incarnation) return { changed, advanced: false };\n    const before = this.digest();\n    if (update.incarnation > this.incarnation)',
    replace: 'const before = this.digest();\n    if (update.incarnation !== this.incarnation)',
  },
  {
    id: 'an older change is taken',
    from: 15,
    rule: 'order of what an owner says: incarnation, then sequence',
    file: 'owner-view.ts',
    find: 'if (change.sequence <= newest) return;',
    replace: '',
  },
  {
    id: 'what is covered is taken again',
    from: 85,
    rule: 'a change at or below coveredTo is here already or superseded',
    file: 'owner-view.ts',
    find: 'if (change.sequence > this.coveredTo) this.#put',
    replace: 'if (change.sequence > 0) this.#put',
  },
  {
    id: 'a tombstone is forgotten without a trace',
    from: 280,
    rule: 'a peer that lags behind a forgotten tombstone gets a snapshot',
    file: 'owner-view.ts',
    find: '      this.#reapedTo = Math.max(this.#reapedTo, change.sequence);\n',
    replace: '',
  },
  {
    id: 'a snapshot drops nothing',
    from: 280,
    rule: 'what a snapshot does not name is gone',
    file: 'owner-view.ts',
    find: 'this.#dropUnnamed(update, changed);',
    replace: '',
  },
  {
    id: 'an earlier life is served for ever',
    rule: 'the records of an earlier life end when the new one is covered',
    file: 'owner-view.ts',
    find: 'this.#earlier.clear();',
    replace: '',
  },
  {
    id: 'covered beyond what came',
    from: 90,
    rule: 'an update covers only who is covered to its base',
    file: 'owner-view.ts',
    find: 'if (update.covers > this.coveredTo && update.base <= this.coveredTo) this.#coverTo',
    replace: 'if (update.covers > this.coveredTo) this.#coverTo',
  },
  {
    id: 'a life that is forgotten is not overruled',
    rule: 'who hears more of itself than it said begins anew above it',
    file: 'replica-core.ts',
    find: '    this.#reissue(effects, incarnation, nowMs);\n',
    replace: '',
  },
  {
    id: 'another content under the same number is not noticed',
    from: 840,
    rule: 'digests carry a checksum of the content',
    file: 'owner-view.ts',
    find: '    a.checksum === b.checksum &&\n',
    replace: '',
  },
  {
    id: 'nothing is compared',
    from: 80,
    rule: 'anti-entropy (Demers et al. 1987): what was lost is found by comparing',
    file: 'replica-core.ts',
    find: 'if (synced) this.#send(effects, peer, { ranges: [whole] });',
    replace: 'if (synced) continue;',
  },
  {
    id: 'the dead are served',
    rule: 'records of the dead are suspended',
    file: 'record-lists.ts',
    find: "this.#served ??= this.#of('served');",
    replace: "this.#served ??= [...this.#of('served'), ...this.#of('suspended')];",
  },
  {
    id: 'the records of the dead are dropped',
    rule: 'records of the dead are kept',
    file: 'replica-core.ts',
    find: "if (this.#owners.standing(owner) === 'left') this.#views.delete(owner);",
    replace: "if (this.#owners.standing(owner) !== 'served') this.#views.delete(owner);",
  },
  {
    id: 'what is read is made once',
    rule: 'lists are made anew when owners come, go or die',
    file: 'replica-core.ts',
    find: '      this.#touch(effects, view.networks());\n',
    replace: '      for (const networkId of view.networks()) effects.changed.add(networkId);\n',
  },
];
