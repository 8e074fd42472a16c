import { describe, expect, it } from 'vitest';
import { differencesOf } from '../../../../../worker/network/overlay/differences.ts';
import {
  type DesiredOverlay,
  emptyOverlay,
  type ObservedOverlay,
  shortcutKey,
} from '../../../../../worker/network/overlay/overlay-state.ts';
import { plan } from '../../../../../worker/network/overlay/plan.ts';
import { BARE_MAC, boundPorts } from '../../../../../worker/network/overlay/shortcut-plan.ts';
import { ModelNamespace } from '../../../../fixtures/model-kernel.ts';

const UNDERLAY = { link: 'eth0', mac: '5e:00:00:00:01:01' };
const C1 = { endpointId: 'e1', address: '10.0.0.2', address6: 'fd00::2', mac: '02:42:0a:00:00:02', link: 'vethe1' };
const C2 = { endpointId: 'e2', address: '10.0.0.3', mac: '02:42:0a:00:00:03', link: 'vethe2' };
const WANT: DesiredOverlay = {
  networkId: 'n1',
  vni: 4097,
  subnets: [{ subnet: '10.0.0.0/24', gateway: '10.0.0.1/24' }],
  mtu: 1500,
  dataPath: 'routed',
  vtep: '192.168.0.1',
  port: 4789,
  local: [C1, C2],
  peers: [],
  route: { underlay: UNDERLAY, neighbours: new Map(), senders: new Map() },
  hasShortcuts: true,
};

/** Both containers joined, with lower links, and all is as desired. */
function reached(): ObservedOverlay {
  const kernel = new ModelNamespace();
  for (const operation of plan({ ...WANT, local: [] }, emptyOverlay())) kernel.apply(operation);
  for (const { link, mac, endpointId } of [C1, C2]) {
    kernel.state.ports.set(link, { mtu: 1500, up: true, mac: '', master: 'br0' });
    kernel.state.route.lowers.set(`wgl${endpointId}`, { mtu: 1500, up: true, mac });
  }
  for (const operation of plan(WANT, kernel.state)) kernel.apply(operation);
  return kernel.state;
}

function without(want: DesiredOverlay, key: 'hasShortcuts' | 'route'): DesiredOverlay {
  const { [key]: _left, ...rest } = want;
  return rest as DesiredOverlay;
}

describe('the shortcut of a container', () => {
  it('is made once its lower link and the table are there, with the addresses it has', () => {
    expect(Object.fromEntries(reached().route.shortcuts)).toEqual({
      wgle1: '02:42:0a:00:00:02 10.0.0.2 fd00::2 eth0 5e:00:00:00:01:01',
      wgle2: '02:42:0a:00:00:03 10.0.0.3 - eth0 5e:00:00:00:01:01',
    });
    expect(plan(WANT, reached())).toEqual([]);
  });

  it.each<{ id: string; want?: DesiredOverlay; spoil?: (state: ObservedOverlay) => void; steps: string[] }>([
    {
      id: 'for one without a lower link: none',
      spoil: ({ route }) => {
        route.lowers.delete('wgle1');
        route.shortcuts.delete('wgle1');
      },
      steps: [],
    },
    {
      id: 'altered by hand: made again',
      spoil: ({ route }) => route.shortcuts.set('wgle1', ''),
      steps: ['put-shortcut wgle1'],
    },
    {
      id: 'of somebody else: removed',
      spoil: ({ route }) => route.shortcuts.set('wglx', ''),
      steps: ['delete-shortcut wglx'],
    },
    {
      id: 'of a container that is gone: removed with its port',
      want: { ...WANT, local: [C2] },
      steps: ['delete-link vethe1', 'delete-port', 'delete-port', 'delete-shortcut wgle1'],
    },
    {
      id: 'by another link of the host: made again with the table',
      want: { ...WANT, route: { ...route(), underlay: { ...UNDERLAY, mac: '5e:00:00:00:01:09' } } },
      steps: ['install-table', 'put-port', 'put-port', 'put-port', 'put-shortcut wgle1', 'put-shortcut wgle2'],
    },
    {
      id: 'that the kernel cannot do: none',
      want: without(WANT, 'hasShortcuts'),
      steps: ['delete-shortcut wgle1', 'delete-shortcut wgle2'],
    },
    {
      id: 'on a lower link that was set down, or made smaller',
      spoil: ({ route: { lowers } }) => {
        lowers.set('wgle1', { mtu: 1500, up: false, mac: C1.mac });
        lowers.set('wgle2', { mtu: 1400, up: true, mac: C2.mac });
      },
      steps: ['set-lower wgle1', 'set-lower wgle2'],
    },
  ])('$id', ({ want = WANT, spoil, steps }) => {
    const state = reached();
    spoil?.(state);
    const words = plan(want, state).map((step) =>
      [step.kind, 'lower' in step ? step.lower : 'link' in step ? step.link : ''].join(' ').trim(),
    );
    expect(words).toEqual(steps);
  });

  it('is not wanted while it is not known by which link other hosts are reached', () => {
    const kernel = new ModelNamespace();
    kernel.state = reached();
    for (const operation of plan(without(WANT, 'route'), kernel.state)) expect(kernel.apply(operation)).toBeUndefined();
    expect(kernel.state.route.shortcuts.size).toBe(0);
    expect(kernel.state.ports.size).toBe(2);
  });

  it.each<{ id: string; spoil: (state: ObservedOverlay) => void; found: string }>([
    { id: 'missing', spoil: ({ route }) => route.shortcuts.delete('wgle2'), found: 'shortcut missing wgle2' },
    { id: 'altered', spoil: ({ route }) => route.shortcuts.set('wgle2', ''), found: 'shortcut altered wgle2' },
    { id: 'added', spoil: ({ route }) => route.shortcuts.set('wglx', ''), found: 'shortcut added wglx' },
    {
      id: 'down',
      spoil: ({ route }) => route.lowers.set('wgle1', { mtu: 1500, up: false, mac: C1.mac }),
      found: 'link altered wgle1',
    },
    {
      id: 'without its container',
      spoil: ({ route }) => route.lowers.set('wgle1', { mtu: 1500, up: true, mac: BARE_MAC }),
      found: 'port missing vethe1',
    },
  ])('is told when it is $id', ({ spoil, found }) => {
    const state = reached();
    spoil(state);
    expect(differencesOf('1-x', WANT, state).map(({ kind, object }) => `${kind} ${object}`)).toEqual([found]);
  });

  function route() {
    return { neighbours: new Map<string, string>(), senders: new Map<string, string>() };
  }
});

it('tells one from another by all that its chains say', () => {
  const one = { mac: C1.mac, address: C1.address, underlay: UNDERLAY };
  const others = [
    { ...one, mac: C2.mac },
    { ...one, address: C2.address },
    { ...one, address6: 'fd00::2' },
    { ...one, underlay: { ...UNDERLAY, link: 'eth1' } },
    { ...one, underlay: { ...UNDERLAY, mac: C2.mac } },
  ];
  expect(new Set([one, ...others].map(shortcutKey)).size).toBe(6);
});

it('a port whose lower link has lost the container is not bound', () => {
  const state = reached();
  state.route.lowers.set('wgle1', { mtu: 1500, up: true, mac: BARE_MAC });
  expect(['vethe1', 'vethe2', 'vethe3'].map((port) => boundPorts(state).has(port))).toEqual([false, true, false]);
});
