import { beforeEach, expect, test } from 'vitest';
import { Allocator } from '../../../../manager/allocator/allocator.ts';
import type { ServiceSpec } from '../../../../proto/objects/service.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { type ControlFixture, controlFixture, serviceSpec, versionOf } from './control-fixture.ts';

let fixture: ControlFixture;
beforeEach(async () => {
  fixture = await controlFixture();
});

/** Versions of the service right after its creation, and after the allocator has seen it. */
async function versions(spec: Partial<ServiceSpec>): Promise<{ created: number; settled: number; endpoint: unknown }> {
  const allocator = new Allocator({}, { store: fixture.store, clock: fixture.clock, log: silentLog });
  await allocator.start();
  await fixture.control.createService({ spec: serviceSpec('web', spec) });
  const created = versionOf(fixture, 'services', 'id1');
  await fixture.clock.advance(1_000);
  const endpoint = fixture.store.view((tx) => tx.get('services', 'id1')?.Endpoint);
  await allocator.stop();
  return { created, settled: versionOf(fixture, 'services', 'id1'), endpoint };
}

test.each([
  { id: 'nothing said', spec: {}, endpoint: { Spec: {} } },
  {
    id: 'a resolution mode',
    spec: { EndpointSpec: { Mode: 'dnsrr' as const } },
    endpoint: { Spec: { Mode: 'dnsrr' } },
  },
  { id: 'no ports', spec: { EndpointSpec: { Ports: [] } }, endpoint: { Spec: { Mode: 'vip', Ports: [] } } },
])('a service without networks and ports keeps the version it was made with: $id', async ({ spec, endpoint }) => {
  const seen = await versions(spec);
  expect(seen).toEqual({ created: seen.settled, settled: seen.settled, endpoint });
});

test.each([
  { id: 'a port', spec: { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] } }, what: 'Ports' },
  { id: 'a network', spec: { TaskTemplate: { Networks: [{ Target: 'net1' }] } }, what: 'VirtualIPs' },
  { id: 'a network beside the template', spec: { Networks: [{ Target: 'net1' }] }, what: 'VirtualIPs' },
])('what there is to settle is settled by the allocator: $id', async ({ spec, what }) => {
  const { created, settled, endpoint } = await versions(spec);
  expect(settled).toBeGreaterThan(created);
  expect(endpoint).toHaveProperty(what);
});
