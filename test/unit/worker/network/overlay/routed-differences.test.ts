import { describe, expect, it } from 'vitest';
import { differencesOf } from '../../../../../worker/network/overlay/differences.ts';
import {
  type DesiredOverlay,
  emptyOverlay,
  type ObservedOverlay,
} from '../../../../../worker/network/overlay/overlay-state.ts';
import { plan } from '../../../../../worker/network/overlay/plan.ts';
import { ModelNamespace } from '../../../../fixtures/model-kernel.ts';

const MAC = '02:42:0a:00:00:03';
const HOST = '5e:00:00:00:00:02';
const HOSTS = new Map([['192.168.0.2', HOST]]);
const DESIRED: DesiredOverlay = {
  networkId: 'n',
  vni: 4097,
  subnets: [{ subnet: '10.0.0.0/24', gateway: '10.0.0.1/24' }],
  dataPath: 'routed',
  mtu: 1500,
  vtep: '192.168.0.1',
  port: 4789,
  local: [{ endpointId: 'e1', address: '10.0.0.2', mac: '02:42:0a:00:00:02', link: 'vethe1' }],
  peers: [{ endpointId: 'p1', address: '10.0.0.3', mac: MAC, vtep: '192.168.0.2', since: 1 }],
  route: { underlay: { link: 'eth0', mac: '5e:00:00:00:00:01' }, neighbours: HOSTS, senders: HOSTS },
};

function inOrder(): ObservedOverlay {
  const kernel = new ModelNamespace();
  kernel.state = emptyOverlay();
  for (let round = 0; round < 3; round++) {
    for (const operation of plan(DESIRED, kernel.state)) kernel.apply(operation);
    kernel.state.ports.set('vethe1', { mtu: 1500, up: true, mac: '', master: 'br0' });
  }
  return kernel.state;
}

const CASES: { id: string; change: (state: ObservedOverlay) => unknown; found: string[] }[] = [
  { id: 'nothing', change: () => undefined, found: [] },
  {
    id: 'no table, and nothing of its rows',
    change: ({ route }) => Object.assign(route, { table: false, underlay: undefined, routes: new Map() }),
    found: ['table missing nftables table in the host'],
  },
  {
    id: 'a table with another rule',
    change: ({ route }) => delete route.underlay,
    found: ['table altered nftables table in the host'],
  },
  { id: 'a route less', change: ({ route }) => route.routes.clear(), found: ['route missing 10.0.0.3'] },
  {
    id: 'a route to another host',
    change: ({ route }) => route.routes.set('10.0.0.3', '192.168.0.9'),
    found: ['route added 10.0.0.3', 'route missing 10.0.0.3'],
  },
  { id: 'a route more', change: ({ route }) => route.routes.set('10.0.0.9', 'x'), found: ['route added 10.0.0.9'] },
  { id: 'a source less', change: ({ route }) => route.sources.clear(), found: ['source missing 10.0.0.3'] },
  { id: 'a source more', change: ({ route }) => route.sources.add('m 10.0.0.9'), found: ['source added 10.0.0.9'] },
  {
    id: 'a container less',
    change: ({ route }) => route.ports.clear(),
    found: ['way to a container missing 10.0.0.2'],
  },
  {
    id: 'a container more',
    change: ({ route }) => route.ports.set('10.0.0.9', MAC),
    found: ['way to a container added 10.0.0.9'],
  },
  { id: 'a row less', change: ({ route }) => route.bridged.clear(), found: [`bridge row missing ${MAC}`] },
  {
    id: 'a row to the tunnel',
    change: ({ route, bridged }) => {
      route.bridged.clear();
      bridged.set(MAC, true);
    },
    found: [`bridge row altered ${MAC}`],
  },
  {
    id: 'a link off the bridge',
    change: ({ route }) => delete route.link?.master,
    found: ['bridge altered routed0', 'link altered routed0'],
  },
  {
    id: 'a link that learns',
    change: ({ route }) => Object.assign(route.link ?? {}, { quiet: false }),
    found: ['link altered routed0'],
  },
  {
    id: 'an end that is down',
    change: ({ route }) => Object.assign(route.end ?? {}, { up: false }),
    found: ['link altered end of routed0'],
  },
];

describe('differences of a routed network', () => {
  it.each(CASES)('are told as what is to be found: $id', ({ change, found }) => {
    const state = inOrder();
    change(state);
    const told = differencesOf('1-abcdefghij', DESIRED, state).map(({ kind, object }) => `${kind} ${object}`);
    expect(told.toSorted()).toEqual(found.toSorted());
  });

  it('say that the link is gone, and not what went with it', () => {
    const state = inOrder();
    delete state.route.link;
    delete state.route.end;
    delete state.route.underlay;
    state.route.bridged.clear();
    const told = differencesOf('1-abcdefghij', DESIRED, state).map(({ kind, object }) => `${kind} ${object}`);
    expect(told).toEqual(['link missing routed0', 'table altered nftables table in the host']);
  });
});
