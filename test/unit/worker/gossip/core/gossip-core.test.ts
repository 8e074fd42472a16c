import { describe, expect, it } from 'vitest';
import type { Effects } from '../../../../../worker/gossip/core/message.ts';
import { GossipCore, type KnownPeer } from '../../../../../worker/gossip/core/gossip-core.ts';
import { SeededRandom } from '../../../../sim/raft/seeded-random.ts';

/** Cores whose messages arrive at once and in order; time stands still unless it is moved. */
class Room {
  nowMs = 1_000;
  readonly cores = new Map<string, GossipCore>();
  readonly standings = new Map<string, KnownPeer['standing']>();
  readonly messages = new Map<string, number>();
  readonly random = new SeededRandom(1).next;
  #life = 1;

  add(name: string): GossipCore {
    const core = new GossipCore(
      { nodeId: name, startedAtMs: ++this.#life * 1_000_000, nowMs: this.nowMs, settleMs: 100 },
      this.random,
    );
    this.cores.set(name, core);
    this.standings.set(name, 'served');
    for (const each of this.cores.keys()) this.introduce(each);
    return core;
  }

  introduce(name: string): void {
    const members = Array.from(this.standings, ([nodeId, standing]) => ({ nodeId, host: nodeId, port: 1, standing }));
    this.owe(name, this.cores.get(name)?.setMembers(members, this.nowMs));
  }

  is(name: string, standing: KnownPeer['standing']): void {
    this.standings.set(name, standing);
    for (const each of this.cores.keys()) this.introduce(each);
  }

  owe(from: string, effects: Effects | undefined): void {
    for (const { host, message } of effects?.sends ?? []) {
      this.messages.set(host, (this.messages.get(host) ?? 0) + 1);
      this.owe(host, this.cores.get(host)?.receive(message, { host: from, port: 1 }, this.nowMs));
    }
  }

  pass(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += 50) {
      for (const [name, core] of this.cores) this.owe(name, core.tick(this.nowMs));
    }
  }

  publish(name: string, networkId: string, endpointId: string): void {
    const core = this.cores.get(name);
    const address = { address: '10.0.0.1', mac: '02:42:0a:00:00:01', vtep: '10.9.9.9', vni: 4096 };
    this.owe(name, core?.publish({ networkId, endpointId, ...address, names: [], services: [] }, this.nowMs));
    this.owe(name, core?.flush(this.nowMs));
  }

  withdraw(name: string, networkId: string, endpointId: string): void {
    this.owe(name, this.cores.get(name)?.withdraw(networkId, endpointId, this.nowMs));
    this.owe(name, this.cores.get(name)?.flush(this.nowMs));
  }

  sees(name: string, networkId: string): string[] {
    const records = this.cores.get(name)?.network(networkId) ?? [];
    return records.map(({ owner, endpointId }) => `${owner}/${endpointId}`).toSorted();
  }

  locates(name: string, networkId: string): string[] {
    const records = this.cores.get(name)?.located(networkId) ?? [];
    return records
      .map(({ owner, endpointId, silent }) => `${owner}/${endpointId}${silent ? ' silent' : ''}`)
      .toSorted();
  }
}

function roomOf(...names: string[]): Room {
  const room = new Room();
  for (const name of names) room.add(name);
  room.pass(500);
  return room;
}

describe('a node holds the networks that it needs', () => {
  it('and has all records of a network in the round trip in which it begins to need it', () => {
    const room = roomOf('a', 'b', 'c');
    room.publish('a', 'net', 'e1');
    room.publish('b', 'net', 'e2');
    room.publish('b', 'other', 'e3');
    expect(room.sees('a', 'net')).toEqual(['a/e1', 'b/e2']);
    expect([room.sees('c', 'net'), room.sees('a', 'other')]).toEqual([[], []]);
    room.owe('c', room.cores.get('c')?.need('net', room.nowMs));
    expect(room.sees('c', 'net')).toEqual(['a/e1', 'b/e2']);
    room.publish('a', 'net', 'e4');
    expect(room.sees('c', 'net')).toEqual(['a/e1', 'a/e4', 'b/e2']);
    expect(room.sees('c', 'other')).toEqual([]);
  });

  it('and is not synced while one of them is still to come', () => {
    const room = roomOf('a', 'b');
    room.publish('a', 'net', 'e1');
    const b = room.cores.get('b');
    expect(b?.synced()).toBe(true);
    const owed = b?.need('net', room.nowMs);
    expect(b?.synced()).toBe(false);
    room.owe('b', owed);
    expect(b?.synced()).toBe(true);
  });

  it('nothing of a network is sent to who does not need it', () => {
    const room = roomOf('a', 'b', 'c');
    room.publish('a', 'net', 'e1');
    room.publish('b', 'net', 'e2');
    room.pass(200);
    room.messages.clear();
    for (let n = 0; n < 20; n++) room.publish('a', 'net', `f${n}`);
    expect(room.messages.get('c')).toBeUndefined();
    expect(room.messages.get('b')).toBeGreaterThanOrEqual(20);
  });

  it('and gives one up some minutes after its last use', () => {
    const room = roomOf('a', 'b');
    room.publish('a', 'net', 'e1');
    room.publish('b', 'net', 'e2');
    room.withdraw('b', 'net', 'e2');
    expect(room.sees('a', 'net')).toEqual(['a/e1']);
    room.pass(6 * 60_000);
    expect(room.cores.get('b')?.holds('net', room.nowMs)).toBe(false);
    expect(room.sees('a', 'net')).toEqual(['a/e1']);
    // And takes it up again.
    room.publish('b', 'net', 'e5');
    expect([room.sees('a', 'net'), room.sees('b', 'net')]).toEqual([
      ['a/e1', 'b/e5'],
      ['a/e1', 'b/e5'],
    ]);
  });
});

describe('records follow their owner', () => {
  it('those of the dead are not served, and are again when it returns; those of who left are gone', () => {
    const room = roomOf('a', 'b', 'c');
    for (const name of ['a', 'b', 'c']) room.publish(name, 'net', `e-${name}`);
    room.is('b', 'suspended');
    expect(room.sees('a', 'net')).toEqual(['a/e-a', 'c/e-c']);
    expect(room.locates('a', 'net')).toEqual(['a/e-a', 'b/e-b silent', 'c/e-c']);
    room.publish('a', 'net', 'later');
    room.is('b', 'served');
    expect(room.sees('a', 'net')).toEqual(['a/e-a', 'a/later', 'b/e-b', 'c/e-c']);
    expect(room.sees('b', 'net')).toEqual(['a/e-a', 'a/later', 'b/e-b', 'c/e-c']);
    room.cores.delete('c');
    room.is('c', 'left');
    room.is('c', 'served');
    expect(room.sees('a', 'net')).not.toContain('c/e-c');
    expect(room.locates('a', 'net').join()).not.toContain('c/e-c');
  });

  it('who begins anew while the only other holder is silent is not synced in that network', () => {
    const room = roomOf('a', 'b', 'c');
    for (const name of ['a', 'b']) room.publish(name, 'net', `e-${name}`);
    room.pass(3_000);
    expect(room.cores.get('a')?.synced('net')).toBe(true);
    room.cores.delete('b');
    room.is('b', 'suspended');
    expect(room.cores.get('a')?.synced('net')).toBe(true);
    room.add('a');
    room.is('b', 'suspended');
    room.publish('a', 'net', 'e-a');
    room.pass(10_000);
    expect([room.cores.get('a')?.synced(), room.cores.get('a')?.synced('net')]).toEqual([true, false]);
    room.add('b');
    room.is('b', 'served');
    room.publish('b', 'net', 'e-b');
    room.pass(3_000);
    expect(room.cores.get('a')?.synced('net')).toBe(true);
    expect(room.sees('a', 'net')).toEqual(['a/e-a', 'b/e-b']);
  });

  it('a daemon that restarts and no longer has the network has no records there', () => {
    const room = roomOf('a', 'b');
    room.publish('a', 'net', 'e1');
    room.publish('b', 'net', 'e2');
    room.add('b');
    expect(room.sees('a', 'net')).toEqual(['a/e1', 'b/e2']);
    room.pass(3_000);
    expect(room.sees('a', 'net')).toEqual(['a/e1']);
  });
});
