import { describe, expect, it } from 'vitest';
import { differencesOf } from '../../../../../worker/network/overlay/differences.ts';
import type { DesiredOverlay, ObservedOverlay } from '../../../../../worker/network/overlay/overlay-state.ts';
import { emptyOverlay } from '../../../../../worker/network/overlay/overlay-state.ts';
import { plan } from '../../../../../worker/network/overlay/plan.ts';
import { ModelNamespace } from '../../../../fixtures/model-kernel.ts';

const NAMESPACE = '1-abcdefghij';
const MAC = '02:42:0a:00:00:03';
const DESIRED: DesiredOverlay = {
  networkId: 'n',
  vni: 4097,
  subnets: [{ subnet: '10.0.0.0/24', gateway: '10.0.0.1/24' }],
  dataPath: 'vxlan',
  mtu: 1450,
  vtep: '192.168.0.1',
  port: 4789,
  local: [{ endpointId: 'e1', address: '10.0.0.2', mac: '02:42:0a:00:00:02', link: 'vethe1' }],
  peers: [{ endpointId: 'p1', address: '10.0.0.3', mac: MAC, vtep: '192.168.0.2', since: 1 }],
};

/** A kernel in which everything is as it should be. */
function inOrder(): ObservedOverlay {
  const kernel = new ModelNamespace();
  kernel.state = { ...emptyOverlay(), namespace: false };
  for (let round = 0; round < 3; round++) {
    for (const operation of plan(DESIRED, kernel.state)) kernel.apply(operation);
    kernel.state.ports.set('vethe1', { mtu: 1450, up: true, mac: '', master: 'br0' });
  }
  return kernel.state;
}

const CASES: { id: string; change: (state: ObservedOverlay) => void; found: string[] }[] = [
  { id: 'nothing', change: () => undefined, found: [] },
  {
    id: 'no namespace, and with it no container has its link',
    change: (state) => void Object.assign(state, emptyOverlay(), { bridge: undefined, vxlan: undefined }),
    found: ['namespace missing 1-abcdefghij', 'port missing vethe1'],
  },
  { id: 'no bridge', change: (state) => delete state.bridge, found: ['link missing br0'] },
  { id: 'no tunnel, and nothing of its rows', change: (state) => delete state.vxlan, found: ['link missing vxlan1'] },
  {
    id: 'another tunnel',
    change: (state) => void Object.assign(state.vxlan ?? {}, { vni: 9 }),
    found: ['link altered vxlan1'],
  },
  { id: 'a port that is down', change: (state) => set(state, 'up', false), found: ['link down vethe1'] },
  { id: 'a port off the bridge', change: (state) => set(state, 'master', 'br9'), found: ['bridge altered vethe1'] },
  { id: 'a port with another MTU', change: (state) => set(state, 'mtu', 9), found: ['MTU altered vethe1'] },
  { id: 'a port that is gone', change: (state) => state.ports.clear(), found: ['port missing vethe1'] },
  {
    id: 'a port of nobody',
    change: (state) => state.ports.set('vethx', { mtu: 1450, up: true, mac: '', master: 'br0' }),
    found: ['link leaked vethx'],
  },
  {
    id: 'an address more and one less',
    change: (state) => void Object.assign(state.bridge ?? {}, { addresses: new Set(['10.9.0.1/24']) }),
    found: ['address added 10.9.0.1/24', 'address missing 10.0.0.1/24'],
  },
  {
    id: 'learning',
    change: (state) => void Object.assign(state.vxlan ?? {}, { portLearning: true }),
    found: ['learning on vxlan1'],
  },
  {
    id: 'no rows',
    change: clearRows,
    found: [`forwarding missing ${MAC}`, `bridge row missing ${MAC}`, 'neighbour missing 10.0.0.3'],
  },
  {
    id: 'other rows',
    change: (state) => {
      state.forwarding.set(MAC, { vtep: '192.168.0.9', permanent: true });
      state.bridged.set(MAC, false);
      state.neighbours.set('10.0.0.3', { mac: MAC, permanent: false });
    },
    found: [`forwarding altered ${MAC}`, `bridge row altered ${MAC}`, 'neighbour altered 10.0.0.3'],
  },
  {
    id: 'rows more',
    change: (state) => {
      state.forwarding.set('02:00:00:00:00:01', { vtep: '192.168.0.9', permanent: true });
      state.bridged.set('02:00:00:00:00:02', true);
      state.neighbours.set('10.0.0.9', { mac: MAC, permanent: true });
    },
    found: ['neighbour added 10.0.0.9', 'forwarding added 02:00:00:00:00:01', 'bridge row added 02:00:00:00:00:02'],
  },
];

function set(state: ObservedOverlay, field: 'up' | 'master' | 'mtu', value: boolean | string | number): void {
  Object.assign(state.ports.get('vethe1') ?? {}, { [field]: value });
}

function clearRows(state: ObservedOverlay): void {
  state.forwarding.clear();
  state.bridged.clear();
  state.neighbours.clear();
}

describe('differencesOf', () => {
  it.each(CASES)('names $id', ({ change, found }) => {
    const state = inOrder();
    change(state);
    const names = differencesOf(NAMESPACE, DESIRED, state).map(({ kind, object }) => `${kind} ${object}`);
    expect(names.toSorted()).toEqual(found.toSorted());
  });

  it('tells what is expected and what is found', () => {
    const state = inOrder();
    state.forwarding.set(MAC, { vtep: '192.168.0.9', permanent: false });
    expect(differencesOf(NAMESPACE, DESIRED, state)).toEqual([
      { kind: 'forwarding altered', object: MAC, expected: '192.168.0.2', found: '192.168.0.9, not permanent' },
    ]);
  });

  it('names a namespace that nobody needs', () => {
    expect(differencesOf(NAMESPACE, undefined, inOrder()).map(({ kind }) => kind)).toEqual(['namespace leaked']);
    expect(differencesOf(NAMESPACE, undefined, emptyOverlay())).toEqual([]);
  });
});
