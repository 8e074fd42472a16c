import { fc, test } from '@fast-check/vitest';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { Overlay } from '../../../../../worker/network/overlay/overlay.ts';
import type { DesiredOverlay, ObservedOverlay, Peer } from '../../../../../worker/network/overlay/overlay-state.ts';
import { plan } from '../../../../../worker/network/overlay/plan.ts';
import { RepairCounts } from '../../../../../worker/network/repair-counts.ts';
import { ModelKernel } from '../../../../fixtures/model-kernel.ts';
import { settle, VirtualClock } from '../../../../fixtures/virtual-clock.ts';

const NETWORK = 'abcdefghijklmnopqrstuvwxy';
const NAMESPACE = '1-abcdefghij';

function peer(index: number): Peer {
  const hex = index.toString(16).padStart(2, '0');
  const vtep = `192.168.0.${2 + (index % 3)}`;
  return { endpointId: `p${index}`, address: `10.0.1.${index}`, mac: `02:42:0a:00:01:${hex}`, vtep, since: index };
}

function overlayWith(peers: readonly Peer[]): DesiredOverlay {
  return {
    networkId: NETWORK,
    vni: 4097,
    subnets: [{ subnet: '10.0.0.0/16', gateway: '10.0.0.1/16' }],
    mtu: 1450,
    dataPath: 'vxlan',
    vtep: '192.168.0.1',
    port: 4789,
    local: [{ endpointId: 'e1', address: '10.0.0.2', mac: '02:42:0a:00:00:02', link: 'vethe1' }],
    peers,
  };
}

/** A kernel whose looks last until they are let go. */
class SlowKernel extends ModelKernel {
  readonly #open: (() => void)[] = [];

  slow(): void {
    this.dumping = new Promise((resolve) => this.#open.push(resolve));
  }

  /** The next look fails once it is let go. */
  fail(): void {
    this.dumping = this.dumping.then(() => Promise.reject(new Error('bridge: killed')));
    this.dumping.catch(() => undefined);
  }

  letGo(): void {
    for (const resolve of this.#open.splice(0)) resolve();
    this.dumping = Promise.resolve();
  }
}

class World {
  readonly clock = new VirtualClock();
  readonly kernel = new SlowKernel();
  readonly repairs = new RepairCounts();
  readonly overlay: Overlay;
  desired = overlayWith([peer(1), peer(2)]);

  constructor() {
    this.overlay = new Overlay(NETWORK, {
      kernel: this.kernel,
      desired: () => this.desired,
      clock: this.clock,
      random: () => 0.5,
      log: silentLog,
      repairs: this.repairs,
    });
  }

  get state(): ObservedOverlay {
    return this.kernel.space(NAMESPACE).state;
  }

  async up(): Promise<void> {
    await this.overlay.connect('vethe1', 'wge1');
    await settle();
  }

  want(peers: readonly Peer[]): void {
    this.desired = { ...this.desired, peers };
    this.overlay.refresh();
  }

  join(id: number): Promise<void> {
    const link = `vethe${id}`;
    if (this.desired.local.every((port) => port.link !== link)) {
      const port = { endpointId: `e${id}`, address: `10.0.0.${id}`, mac: `02:42:0a:00:00:0${id}`, link };
      this.desired = { ...this.desired, local: [...this.desired.local, port] };
    }
    return this.overlay.connect(link, `wge${id}`);
  }

  /** Until failures that are tried again have been. */
  async rest(): Promise<void> {
    this.kernel.letGo();
    for (let turn = 0; turn < 3; turn++) await this.clock.advance(11_000);
  }

  async audit(): Promise<void> {
    this.overlay.audit();
    await settle();
  }
}

let world: World;

beforeEach(() => {
  world = new World();
});

afterEach(async () => {
  world.kernel.letGo();
  await world.overlay.stop();
});

describe('an audit', () => {
  it('keeps nobody waiting: containers join and peers are programmed while it looks', async () => {
    await world.up();
    world.kernel.slow();
    await world.audit();
    await world.join(2);
    world.want([peer(1), peer(3)]);
    await settle();
    expect([...world.state.neighbours.keys()].toSorted()).toEqual(['10.0.1.1', '10.0.1.3']);
    expect(world.state.ports.has('vethe2')).toBe(true);
  });

  it('takes what was done while it looked for no drift, and does not do it again', async () => {
    await world.up();
    world.kernel.slow();
    await world.audit();
    world.want([peer(1), peer(3)]);
    await settle();
    const { length } = world.kernel.done;
    world.kernel.letGo();
    await settle();
    expect(world.repairs.toRecord()).toEqual({});
    expect(world.kernel.done).toHaveLength(length);
  });

  it('looks again where it finds a difference beside changes of ours, and repairs and counts it once', async () => {
    await world.up();
    world.state.forwarding.clear();
    world.kernel.slow();
    await world.audit();
    world.want([peer(1), peer(2), peer(3)]);
    await settle();
    world.kernel.letGo();
    await settle();
    expect(world.kernel.looks).toBe(2);
    expect(plan(world.desired, world.state)).toEqual([]);
    expect(world.repairs.toRecord()).toEqual({ 'forwarding missing': 2 });
  });

  it('counts drift that makes a change fail before the audit has seen it', async () => {
    await world.up();
    world.state.forwarding.clear();
    world.kernel.refuse = ({ kind }) => (kind === 'put-neighbour' ? 'no such device' : undefined);
    world.want([peer(1), peer(2), peer(3)]);
    await settle();
    world.kernel.refuse = () => undefined;
    await world.rest();
    expect(plan(world.desired, world.state)).toEqual([]);
    expect(world.repairs.toRecord()).toEqual({ 'forwarding missing': 2 });
  });

  it('counts drift that makes a change fail while the audit looks', async () => {
    await world.up();
    world.state.forwarding.clear();
    world.kernel.slow();
    await world.audit();
    world.kernel.refuse = ({ kind }) => (kind === 'put-neighbour' ? 'no such device' : undefined);
    world.want([peer(1), peer(2), peer(3)]);
    await settle();
    world.kernel.refuse = () => undefined;
    await world.rest();
    expect(plan(world.desired, world.state)).toEqual([]);
    expect(world.repairs.toRecord()).toEqual({ 'forwarding missing': 2 });
  });

  it('does not count what a look beside changes has merely missed', async () => {
    await world.up();
    const { kernel } = world;
    const whole = kernel.look.bind(kernel);
    kernel.slow();
    kernel.look = async (...args) => {
      const found = await whole(...args);
      if (kernel.looks === 1) found?.observed.neighbours.delete('10.0.1.1');
      return found;
    };
    await world.audit();
    world.want([peer(1), peer(3)]);
    await settle();
    kernel.letGo();
    await settle();
    expect(world.repairs.toRecord()).toEqual({});
  });

  it('repairs drift however often it is disturbed', async () => {
    await world.up();
    world.state.neighbours.delete('10.0.1.1');
    const { kernel } = world;
    const look = kernel.look.bind(kernel);
    let next = 10;
    kernel.look = async (...args) => {
      const found = await look(...args);
      next++;
      world.want([peer(1), peer(next)]);
      await settle();
      return found;
    };
    world.overlay.audit();
    for (let turn = 0; turn < 10; turn++) await settle();
    expect(world.state.neighbours.has('10.0.1.1')).toBe(true);
    expect(kernel.looks).toBe(3);
  });

  it('is over at once when neither the kernel nor what is desired has changed', async () => {
    await world.up();
    await world.audit();
    const peers = [...world.desired.peers];
    let compared = 0;
    Object.defineProperty(peers, Symbol.iterator, {
      value: () => {
        compared++;
        return Array.prototype[Symbol.iterator].call(peers);
      },
    });
    world.desired = { ...world.desired, peers };
    await world.audit();
    expect(compared).toBeGreaterThan(0);
    compared = 0;
    let unchanged = 0;
    const look = world.kernel.look.bind(world.kernel);
    world.kernel.look = async (...args) => {
      const found = await look(...args);
      if (found === undefined) unchanged++;
      return found;
    };
    await world.audit();
    await world.audit();
    expect(unchanged).toBe(2);
    expect(compared).toBe(0);
    expect(world.overlay.idle).toBe(true);
  });

  it('finds drift after many that found nothing', async () => {
    await world.up();
    for (let turn = 0; turn < 3; turn++) await world.audit();
    world.state.bridged.clear();
    await world.audit();
    expect(plan(world.desired, world.state)).toEqual([]);
    expect(world.repairs.toRecord()).toEqual({ 'bridge row missing': 2 });
  });

  it('carries out what nobody has told it was desired', async () => {
    await world.up();
    await world.audit();
    await world.audit();
    world.desired = { ...world.desired, mtu: 1400 };
    await world.audit();
    expect(world.state.bridge?.mtu).toBe(1400);
    world.desired = overlayWith([peer(7)]);
    await world.audit();
    expect([...world.state.neighbours.keys()]).toEqual(['10.0.1.7']);
  });

  it('that fails makes the next pass look itself', async () => {
    await world.up();
    world.kernel.look = () => Promise.reject(new Error('bridge: killed'));
    const before = world.kernel.observations;
    world.state.forwarding.clear();
    await world.audit();
    expect(world.kernel.observations).toBe(before + 1);
    expect(plan(world.desired, world.state)).toEqual([]);
  });
});

type Step =
  | { kind: 'want'; peers: number[] }
  | { kind: 'join'; id: number }
  | { kind: 'drift'; index: number }
  | { kind: 'audit' | 'slow' | 'fail' | 'let go' | 'settle' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('want' as const), peers: fc.uniqueArray(fc.integer({ min: 1, max: 9 })) }),
  fc.record({ kind: fc.constant('join' as const), id: fc.integer({ min: 2, max: 5 }) }),
  fc.record({ kind: fc.constant('drift' as const), index: fc.nat(8) }),
  fc.record({ kind: fc.constantFrom('audit' as const, 'slow' as const, 'let go' as const, 'settle' as const) }),
  fc.record({ kind: fc.constant('fail' as const) }),
);

/** Takes something away that the kernel has. */
function drift({ forwarding, bridged, neighbours }: ObservedOverlay, index: number): void {
  const table = [forwarding, bridged, neighbours][index % 3];
  const key = [...(table?.keys() ?? [])][Math.floor(index / 3)];
  if (key !== undefined) table?.delete(key as never);
}

async function take(at: World, each: Step): Promise<void> {
  if (each.kind === 'want') at.want(each.peers.map(peer));
  else if (each.kind === 'join') void at.join(each.id).catch(() => undefined);
  else if (each.kind === 'drift') drift(at.state, each.index);
  else if (each.kind === 'audit') at.overlay.audit();
  else if (each.kind === 'slow') at.kernel.slow();
  else if (each.kind === 'fail') at.kernel.fail();
  else if (each.kind === 'let go') at.kernel.letGo();
  else await settle();
}

describe('audits among joins, news and drift', () => {
  test.prop([fc.array(step, { maxLength: 25 })], { numRuns: 200 })('end with the kernel as desired', async (steps) => {
    const at = new World();
    await at.up();
    for (const each of steps) await take(at, each);
    await at.rest();
    await at.audit();
    expect(plan(at.desired, at.state)).toEqual([]);
    expect(at.overlay.missingPorts).toEqual([]);
    await at.overlay.stop();
  });

  test.prop([fc.array(step, { maxLength: 25 })], { numRuns: 200 })(
    'count nothing when nobody else has meddled',
    async (steps) => {
      const at = new World();
      await at.up();
      for (const each of steps) if (each.kind !== 'drift') await take(at, each);
      at.kernel.letGo();
      for (let turn = 0; turn < 3; turn++) await settle();
      await at.audit();
      expect(at.repairs.toRecord()).toEqual({});
      await at.overlay.stop();
    },
  );
});
