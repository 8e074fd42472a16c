import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import type { ObservedTunnel, TunnelOperation, TunnelPeer } from './tunnel-state.ts';

const DEVICE = 'wgwaggle';
const GUARD = 'table inet waggle-tunnel';
const RANGE = '250.0.0.0/8';
const ABSENT = 'nothing';

type Describers = {
  [K in TunnelOperation['kind']]: (operation: TunnelOperation & { kind: K }, observed: ObservedTunnel) => Difference[];
};

const DESCRIBERS: Describers = {
  'set-guard': (_, { guard }) =>
    guard === 'none'
      ? missing('tunnel guard', GUARD)
      : [difference('tunnel guard altered', GUARD, 'as made', 'not so')],
  'delete-guard': () => leaked('tunnel guard', GUARD),
  'add-blackhole': () => missing('tunnel blackhole', RANGE),
  'delete-blackhole': () => leaked('tunnel blackhole', RANGE),
  'create-device': (_, { device }) => (device === undefined ? missing('tunnel device', DEVICE) : []),
  'delete-device': (_, { device }) =>
    device?.answers === false
      ? [difference('tunnel device altered', DEVICE, 'WireGuard', 'does not answer as WireGuard')]
      : leaked('tunnel device', DEVICE),
  'set-key': ({ publicKey, port }, { device }) => [
    difference(
      'tunnel key altered',
      DEVICE,
      `${publicKey}, port ${port}`,
      `${device?.publicKey}, port ${device?.port}`,
    ),
  ],
  'put-peer': ({ peer }, observed) => [peerDifference(peer, observed)],
  'put-endpoint': ({ peer }, observed) => [peerDifference(peer, observed)],
  'remove-peer': ({ publicKey }) => [difference('tunnel peer added', publicKey, ABSENT, 'a peer of no node')],
  'set-mtu': ({ mtu }, { device }) => [difference('tunnel MTU altered', DEVICE, String(mtu), String(device?.mtu))],
  'add-address': ({ address }) => missing('tunnel address', address),
  'delete-address': ({ address }) => [difference('tunnel address added', address, ABSENT, `on ${DEVICE}`)],
  'set-up': () => [difference('tunnel down', DEVICE, 'up', 'down')],
  'add-route': () => missing('tunnel route', RANGE),
  greet: () => [],
};

/** Pure: a plan of the tunnel, told as what is to be found. What follows from a missing device is not told beside it. */
export function tunnelDifferences(operations: readonly TunnelOperation[], observed: ObservedTunnel): Difference[] {
  const isAnew = operations.some(({ kind }) => kind === 'create-device');
  const told = isAnew ? operations.filter(({ kind }) => OF_HOST.has(kind)) : operations;
  return told.flatMap((operation) => {
    const describe = DESCRIBERS[operation.kind] as (each: TunnelOperation, of: ObservedTunnel) => Difference[];
    return describe(operation, observed);
  });
}

const OF_HOST: ReadonlySet<TunnelOperation['kind']> = new Set([
  'set-guard',
  'add-blackhole',
  'create-device',
  'delete-device',
]);

function peerDifference({ publicKey, address, endpoint }: TunnelPeer, { device }: ObservedTunnel): Difference {
  const known = device?.peers.get(publicKey);
  const wanted = `${endpoint}, ${address}/32`;
  if (known === undefined) return difference('tunnel peer missing', address, wanted, ABSENT);
  return difference('tunnel peer altered', address, wanted, `${known.endpoint}, ${known.allowed.join(' ')}`);
}

function missing(noun: string, object: string): Difference[] {
  return [difference(`${noun} missing`, object, 'present', ABSENT)];
}

function leaked(noun: string, object: string): Difference[] {
  return [difference(`${noun} leaked`, object, ABSENT, 'present')];
}

function difference(kind: string, object: string, expected: string, found: string): Difference {
  return { kind, object, expected, found };
}
