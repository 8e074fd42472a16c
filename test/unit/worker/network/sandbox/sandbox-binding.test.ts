import { describe, expect, it } from 'vitest';
import type { LocalNetworkEndpoint } from '../../../../../worker/network/local-endpoint.ts';
import type { PluginBackend } from '../../../../../worker/network/plugin/plugin-protocol.ts';
import { SandboxBinding, sandboxesOf } from '../../../../../worker/network/sandbox/sandbox-binding.ts';
import type { Sandbox } from '../../../../../worker/network/sandbox/sandboxes.ts';

const endpoint = (endpointId: string, over: Partial<LocalNetworkEndpoint> = {}): LocalNetworkEndpoint => ({
  endpointId,
  localNetworkId: 'local1',
  networkId: 'net1',
  address: '10.0.1.2/24',
  mac: '02:42:0a:00:01:02',
  sandboxKey: '/run/docker/netns/a',
  state: 'joined',
  ...over,
});

/** What the resolver was told, in order. */
class Recorder {
  readonly calls: string[] = [];
  /** Keys whose set-up never ends. */
  readonly stuck = new Set<string>();

  put(sandbox: Sandbox): Promise<void> {
    this.calls.push(`put ${sandbox.sandboxKey} ${sandbox.networks.map(({ networkId }) => networkId).join('+')}`);
    return this.stuck.has(sandbox.sandboxKey) ? new Promise(() => undefined) : Promise.resolve();
  }

  remove(sandboxKey: string): Promise<void> {
    this.calls.push(`remove ${sandboxKey}`);
    return Promise.resolve();
  }
}

describe('sandboxesOf', () => {
  it('groups joined endpoints by their namespace, networks in the order of joining', () => {
    const found = sandboxesOf(
      [
        endpoint('e1'),
        endpoint('e2', { networkId: 'net2' }),
        endpoint('e3', { sandboxKey: '/run/docker/netns/b' }),
        endpoint('e4', { state: 'created', sandboxKey: '' }),
        endpoint('e5', { state: 'left', sandboxKey: '' }),
      ],
      { networks: new Map() },
    );
    expect([...found.keys()]).toEqual(['/run/docker/netns/a', '/run/docker/netns/b']);
    expect(found.get('/run/docker/netns/a')?.networks.map(({ networkId }) => networkId)).toEqual(['net1', 'net2']);
    expect(found.get('/run/docker/netns/a')?.endpointIds).toEqual(['e1', 'e2']);
  });
});

describe('SandboxBinding', () => {
  const bind = (endpoints: LocalNetworkEndpoint[]): { binding: SandboxBinding; sandboxes: Recorder } => {
    const sandboxes = new Recorder();
    const assigned = { networks: new Map(), tasks: new Map() };
    return { binding: new SandboxBinding({ sandboxes, endpoints: () => endpoints, assigned }), sandboxes };
  };

  it('tells of what has come, and of what has gone', async () => {
    const endpoints = [endpoint('e1'), endpoint('e2', { sandboxKey: '/run/docker/netns/b' })];
    const { binding, sandboxes } = bind(endpoints);
    await binding.sync();
    endpoints.shift();
    await binding.sync();
    expect(sandboxes.calls).toEqual([
      'put /run/docker/netns/a net1',
      'put /run/docker/netns/b net1',
      'remove /run/docker/netns/a',
      'put /run/docker/netns/b net1',
    ]);
  });

  it('answers Join once its own sandbox is known, whatever becomes of others', async () => {
    const endpoints = [endpoint('e1'), endpoint('e2', { sandboxKey: '/run/docker/netns/b' })];
    const { binding, sandboxes } = bind(endpoints);
    sandboxes.stuck.add('/run/docker/netns/a');
    const join = { InterfaceName: { SrcName: 'v', DstPrefix: 'eth' }, StaticRoutes: [] };
    const backend = { 'NetworkDriver.Join': () => join } as unknown as PluginBackend;
    const request = { NetworkID: 'local1', EndpointID: 'e2', SandboxKey: '/run/docker/netns/b', Options: {} };
    expect(await binding.wrap(backend)['NetworkDriver.Join'](request as never)).toBe(join);
    expect(sandboxes.calls).toEqual(['put /run/docker/netns/b net1']);
  });

  it('forgets a sandbox that was bound by Join', async () => {
    const endpoints = [endpoint('e1')];
    const { binding, sandboxes } = bind(endpoints);
    const backend = { 'NetworkDriver.Join': () => ({}) } as unknown as PluginBackend;
    await binding.wrap(backend)['NetworkDriver.Join']({ SandboxKey: '/run/docker/netns/a' } as never);
    endpoints.pop();
    await binding.sync();
    expect(sandboxes.calls.at(-1)).toBe('remove /run/docker/netns/a');
  });
});
