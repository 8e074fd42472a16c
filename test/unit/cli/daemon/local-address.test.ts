import { describe, expect, it } from 'vitest';
import { localAddressTowards, withAdvertised } from '../../../../cli/daemon/local-address.ts';

describe('localAddressTowards', () => {
  it.each(['127.0.0.1:2377', '127.0.0.1', 'manager.example:2377', '[fd00::1]:2377', ''])(
    'says nothing of %s',
    async (remote) => expect(await localAddressTowards(remote)).toBeUndefined(),
  );
});

describe('withAdvertised', () => {
  it.each([
    { id: 'advertises already', request: { AdvertiseAddr: 'eth0', RemoteAddrs: ['127.0.0.1:2377'] } },
    { id: 'listens on one address', request: { ListenAddr: '10.0.0.5:2377', RemoteAddrs: ['127.0.0.1:2377'] } },
    { id: 'names nobody', request: {} },
    { id: 'joins over the loopback', request: { ListenAddr: '0.0.0.0:2377', RemoteAddrs: ['127.0.0.1:2377'] } },
  ])('leaves alone who $id', async ({ request }) => {
    expect(await withAdvertised(request)).toEqual(request);
  });
});
