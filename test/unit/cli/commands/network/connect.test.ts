import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RecordingApi } from '../../../../fixtures/recording-api.ts';

const api = new RecordingApi();

beforeAll(() => api.start());
afterAll(() => api.stop());
beforeEach(() => {
  api.requests.length = 0;
  api.answer = () => ({ body: {} });
});

describe('network connect', () => {
  it.each([
    { id: 'nothing more', flags: [], expected: {} },
    { id: 'names', flags: ['--alias', 'a', '--alias', 'b'], expected: { Aliases: ['a', 'b'] } },
    {
      id: 'addresses of both families',
      flags: ['--ip', '10.0.0.5', '--ip6', 'fd00::5', '--link-local-ip', '169.254.0.5'],
      expected: { IPAMConfig: { IPv4Address: '10.0.0.5', IPv6Address: 'fd00::5', LinkLocalIPs: ['169.254.0.5'] } },
    },
    {
      id: 'a link and an option',
      flags: ['--link', 'db:database', '--driver-opt', 'k=v'],
      expected: { Links: ['db:database'], DriverOpts: { k: 'v' } },
    },
  ])('asks for $id', async ({ flags, expected }) => {
    expect(await api.run(['network', 'connect', ...flags, 'net1', 'c1'])).toMatchObject({ status: 0, err: [] });
    expect(api.requests).toEqual([
      expect.objectContaining({
        method: 'POST',
        path: '/networks/net1/connect',
        body: { Container: 'c1', EndpointConfig: expected },
      }),
    ]);
  });
});
