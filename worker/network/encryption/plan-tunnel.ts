import type { DesiredTunnel, ObservedDevice, ObservedTunnel, TunnelOperation, TunnelPeer } from './tunnel-state.ts';

/**
 * The way from what the kernel has to what it should have; empty when they agree. `desired` undefined means that nothing here needs
 * the tunnel. What keeps packets from leaving in the clear comes first and goes last. A peer that goes is removed before
 * another takes its address: WireGuard gives an address to one peer only. A device with a new key, or made anew, greets
 * the others: they would go on using the sessions that it has lost, and notice only after 15 s (Donenfeld 2017, section 6.2).
 */
export function planTunnel(desired: DesiredTunnel | undefined, observed: ObservedTunnel): TunnelOperation[] {
  if (desired === undefined) return planRemoval(observed);
  const operations: TunnelOperation[] = [];
  if (observed.guard !== desired.vxlanPort) operations.push({ kind: 'set-guard', vxlanPort: desired.vxlanPort });
  if (!observed.blackhole) operations.push({ kind: 'add-blackhole' });
  let { device } = observed;
  if (device?.answers === false) {
    operations.push({ kind: 'delete-device' });
    device = undefined;
  }
  if (device === undefined) operations.push({ kind: 'create-device' });
  operations.push(...planDevice(desired, device));
  if (device === undefined || !observed.route) operations.push({ kind: 'add-route' });
  const publicKeys = strangersOf(desired, device);
  if (publicKeys.length > 0) operations.push({ kind: 'greet', publicKeys });
  return operations;
}

/** Hosts that go on using sessions which one of the two has lost: all, if this host is new to them, and those whose key is new. */
function strangersOf(desired: DesiredTunnel, device: ObservedDevice | undefined): string[] {
  const others = othersOf(desired);
  if (device?.publicKey !== desired.publicKey) return others.map(({ publicKey }) => publicKey);
  const known = new Set([...device.peers.values()].flatMap(({ allowed }) => allowed));
  return others
    .filter(({ publicKey, address }) => !device.peers.has(publicKey) && known.has(`${address}/32`))
    .map(({ publicKey }) => publicKey);
}

function planRemoval(observed: ObservedTunnel): TunnelOperation[] {
  return [
    ...(observed.device === undefined ? [] : [{ kind: 'delete-device' } as const]),
    ...(observed.blackhole ? [{ kind: 'delete-blackhole' } as const] : []),
    ...(observed.guard === 'none' ? [] : [{ kind: 'delete-guard' } as const]),
  ];
}

function planDevice(desired: DesiredTunnel, device: ObservedDevice | undefined): TunnelOperation[] {
  const operations: TunnelOperation[] = [];
  const { keyFile, publicKey, port, mtu } = desired;
  if (device?.publicKey !== publicKey || device.port !== port) {
    operations.push({ kind: 'set-key', keyFile, publicKey, port });
  }
  operations.push(...planPeers(desired, device));
  const address = `${desired.address}/32`;
  for (const other of device?.addresses ?? []) {
    if (other !== address) operations.push({ kind: 'delete-address', address: other });
  }
  if (device?.addresses.has(address) !== true) operations.push({ kind: 'add-address', address });
  if (device?.mtu !== mtu) operations.push({ kind: 'set-mtu', mtu });
  if (device?.up !== true) operations.push({ kind: 'set-up' });
  return operations;
}

function planPeers(desired: DesiredTunnel, device: ObservedDevice | undefined): TunnelOperation[] {
  const wanted = new Map(othersOf(desired).map((peer) => [peer.publicKey, peer]));
  const removals = [...(device?.peers.keys() ?? [])].filter((publicKey) => !wanted.has(publicKey));
  const changes = [...wanted.values()].flatMap((peer): TunnelOperation[] => {
    const known = device?.peers.get(peer.publicKey);
    if (known?.allowed.length !== 1 || known.allowed[0] !== `${peer.address}/32`) return [{ kind: 'put-peer', peer }];
    return known.endpoint === peer.endpoint ? [] : [{ kind: 'put-endpoint', peer }];
  });
  return [...removals.map((publicKey) => ({ kind: 'remove-peer', publicKey }) as const), ...changes];
}

/**
 * What was observed, without what WireGuard does not tell: from which of the host's addresses it sends to each peer. wireguard-go goes on
 * with the one that the peer's last packet came to, for 15 s after the host has lost it, or until the peer's endpoint is given anew.
 */
export function withoutEndpoints(observed: ObservedTunnel): ObservedTunnel {
  const { device } = observed;
  if (device === undefined) return observed;
  const peers = [...device.peers].map(([publicKey, peer]) => [publicKey, { ...peer, endpoint: '' }] as const);
  return { ...observed, device: { ...device, peers: new Map(peers) } };
}

function othersOf(desired: DesiredTunnel): TunnelPeer[] {
  return desired.peers.filter(({ publicKey }) => publicKey !== desired.publicKey);
}
