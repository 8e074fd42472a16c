import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DataPath } from '../../../../../proto/objects/data-path.ts';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { lowerName, namespaceName, waitingName } from '../../../../../worker/network/overlay/link-names.ts';
import { Overlays } from '../../../../../worker/network/overlay/overlays.ts';
import { FileTable } from '../../../../../worker/storage/file-table.ts';
import { FakeEndpointTable } from '../../../../fixtures/fake-endpoint-table.ts';
import { ModelKernel } from '../../../../fixtures/model-kernel.ts';
import { NETWORK_ID } from '../../../../fixtures/network-parts.ts';
import { settle, VirtualClock } from '../../../../fixtures/virtual-clock.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);

/** A host with containers on one network. */
class Host {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'waggle-overlays-'));
  readonly clock = new VirtualClock();
  readonly kernel = new ModelKernel();
  dataPath: DataPath = 'vxlan';
  readonly endpoints = new Map<string, { endpointId: string; address: string; mac: string }>();
  readonly overlays = new Overlays(
    { vtep: '192.168.0.1', port: 4789 },
    {
      kernel: this.kernel,
      markers: new FileTable(this.folder, { sync: false }),
      facts: () => ({
        networkId: NETWORK_ID,
        vni: 4097,
        subnets: [{ subnet: '10.0.1.0/24', gateway: '10.0.1.1/24' }],
        dataPath: this.dataPath,
      }),
      connected: () => [...this.endpoints.values()],
      endpointIds: () => this.endpoints.keys(),
      table: new FakeEndpointTable(),
      clock: this.clock,
      random: () => 0.5,
      log: silentLog,
    },
  );

  get links(): string[] {
    return this.kernel.links.map(({ name }) => name).filter((name) => name !== 'eth0');
  }

  async connect(endpointId: string): Promise<void> {
    const host = 2 + this.endpoints.size;
    this.endpoints.set(endpointId, { endpointId, address: `10.0.1.${host}/24`, mac: `02:42:0a:00:01:0${host}` });
    await this.overlays.connect(NETWORK_ID, endpointId);
  }

  disconnect(endpointId: string): Promise<void> {
    this.endpoints.delete(endpointId);
    return this.overlays.disconnect(NETWORK_ID, endpointId);
  }

  /** What the audits have repaired, and what an examination finds to be wrong. */
  async wrong(): Promise<object> {
    const differences = await this.overlays.hostDifferences();
    return {
      repairs: { ...this.overlays.repairs(), ...this.overlays.repairs(NETWORK_ID) },
      found: differences.map(({ kind, object }) => `${kind} ${object}`),
    };
  }
}

/** A promise, and what resolves it. */
function gate(): [Promise<void>, () => void] {
  const { promise, resolve } = Promise.withResolvers<void>();
  return [promise, resolve];
}

let host: Host;

beforeEach(async () => {
  host = new Host();
  await host.overlays.start();
  host.overlays.trust(new Set());
});

afterEach(async () => {
  await host.overlays.stop();
  rmSync(host.folder, { recursive: true });
});

describe('a container’s link', () => {
  it.each<{ dataPath: DataPath; shortens: boolean; lowers: string[] }>([
    { dataPath: 'routed', shortens: true, lowers: [lowerName(A)] },
    { dataPath: 'routed', shortens: false, lowers: [] },
    { dataPath: 'vxlan', shortens: true, lowers: [] },
  ])('lies on a lower link: $dataPath, in a kernel that can: $shortens', async ({ dataPath, shortens, lowers }) => {
    await host.overlays.stop();
    rmSync(host.folder, { recursive: true });
    host = new Host();
    host.kernel.shortens = shortens;
    host.dataPath = dataPath;
    await host.overlays.start();
    await host.connect(A);
    const { route } = host.kernel.space(namespaceName(NETWORK_ID)).state;
    expect([...route.lowers.keys()]).toEqual(lowers);
    expect(host.links).toContain(waitingName(A));
  });
});

describe('a link in the host is not taken for a leftover', () => {
  const NOTHING = { repairs: {}, found: [] };

  it('while its endpoint is deleted: an audit that looked before and judges after', async () => {
    await host.connect(A);
    await host.connect(B);
    const [listed, handOut] = gate();
    host.kernel.listed = listed;
    const audited = host.overlays.audit();
    const wrong = host.wrong();
    await settle();
    await host.disconnect(A);
    handOut();
    await audited;
    expect(await wrong).toEqual(NOTHING);
    expect(host.links).toEqual([waitingName(B)]);
  });

  it('while the kernel is at work on its removal', async () => {
    await host.connect(A);
    await host.connect(B);
    const [working, worked] = gate();
    host.kernel.working = working;
    const deleted = host.disconnect(A);
    await settle();
    await host.overlays.audit();
    expect(await host.wrong()).toEqual(NOTHING);
    expect(host.links).toContain(waitingName(A));
    worked();
    await deleted;
    expect(host.links).toEqual([waitingName(B)]);
  });

  it('while the kernel takes its namespace apart, later than the removal was done', async () => {
    await host.connect(A);
    const [fading, faded] = gate();
    host.kernel.fading = fading;
    await host.disconnect(A);
    await host.overlays.audit();
    expect(await host.wrong()).toEqual(NOTHING);
    faded();
    await settle();
    expect(host.links).toEqual([]);
  });

  it('when its container has just begun to join', async () => {
    const [listing, list] = gate();
    host.kernel.listing = listing;
    const audited = host.overlays.audit();
    await settle();
    await host.connect(A);
    list();
    await audited;
    expect(await host.wrong()).toEqual(NOTHING);
    expect(host.links).toEqual([waitingName(A)]);
  });
});

it('a namespace is not taken for a leftover while its network is forgotten', async () => {
  await host.connect(A);
  const [listed, handOut] = gate();
  host.kernel.listed = listed;
  const wrong = host.wrong();
  await settle();
  host.kernel.listed = Promise.resolve();
  await host.disconnect(A);
  await host.overlays.audit();
  handOut();
  expect(await wrong).toEqual({ repairs: {}, found: [] });
});

describe('a link in the host is a leftover', () => {
  it('when it is still there long after its namespace went', async () => {
    await host.connect(A);
    host.kernel.fading = new Promise<void>(() => undefined);
    await host.disconnect(A);
    await host.clock.advance(11_000);
    // The first may be one that has begun before its time.
    for (let round = 0; round < 2; round++) await host.overlays.audit();
    expect(host.links).toEqual([]);
    expect(host.overlays.repairs()).toEqual({ 'link leaked': 1 });
  });

  it('when the kernel has refused to remove it', async () => {
    await host.connect(A);
    await host.connect(B);
    host.kernel.refuse = ({ kind }) => (kind === 'delete-link' ? 'Device or resource busy' : undefined);
    await expect(host.disconnect(A)).rejects.toThrow('busy');
    await host.overlays.audit();
    expect(host.links).toEqual([waitingName(B)]);
  });

  it('when the node gives up its part in the swarm', async () => {
    await host.connect(A);
    host.kernel.fading = new Promise<void>(() => undefined);
    await host.disconnect(A);
    await host.overlays.vacate();
    expect(host.links).toEqual([]);
  });
});
