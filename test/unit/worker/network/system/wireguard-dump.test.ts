import { expect, it } from 'vitest';
import { readWireguardDump } from '../../../../../worker/network/system/wireguard-dump.ts';

/** As wireguard-tools 1.0.20210914 prints it; secrets replaced. */
const DUMP = [
  'PRIVATE=\tHbr8Lw+MNsC/G9n6PsRhC4Y3IP/3/a4D1YEd9miMmhM=\t4790\toff',
  'iS3b1YS7zFxFTyRy2gQ9491pQR6Xabo7VFekSSn+ZBs=\t(none)\t192.168.99.2:4790\t250.0.0.2/32\t0\t0\t148\toff',
  'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\t(none)\t(none)\t(none)\t0\t0\t0\t25',
  '',
].join('\n');

it('reads the device and its peers, and nothing that is secret', () => {
  const device = readWireguardDump(DUMP);
  expect(device).toEqual({
    publicKey: 'Hbr8Lw+MNsC/G9n6PsRhC4Y3IP/3/a4D1YEd9miMmhM=',
    port: 4790,
    peers: new Map([
      ['iS3b1YS7zFxFTyRy2gQ9491pQR6Xabo7VFekSSn+ZBs=', { endpoint: '192.168.99.2:4790', allowed: ['250.0.0.2/32'] }],
      ['xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=', { endpoint: '(none)', allowed: [] }],
    ]),
  });
  expect(JSON.stringify([device, ...device.peers])).not.toContain('PRIVATE');
});

it.each(['', 'nonsense'])('refuses %j', (text) => {
  expect(() => readWireguardDump(text)).toThrow('wg prints something unknown');
});
