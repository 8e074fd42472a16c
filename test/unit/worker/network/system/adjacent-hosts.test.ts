import { expect, it } from 'vitest';
import { readAdjacentHosts } from '../../../../../worker/network/system/adjacent-hosts.ts';

/** From iproute2 6.1: a line for each `route get` that was answered, then one for `neigh show`. */
const ANSWERS = [
  '[{"dst":"192.168.77.12","dev":"eth0","prefsrc":"192.168.77.11","flags":[],"uid":0,"cache":[]}]',
  '[{"dst":"192.168.77.13","dev":"eth0","prefsrc":"192.168.77.11","flags":[],"uid":0,"cache":[]}]',
  '[{"dst":"192.168.78.14","gateway":"192.168.77.1","dev":"eth0","prefsrc":"192.168.77.11","flags":[],"uid":0,"cache":[]}]',
  '[{"dst":"192.168.80.15","dev":"eth1","prefsrc":"192.168.80.11","flags":[],"uid":0,"cache":[]}]',
  '[{"type":"local","dst":"192.168.77.11","dev":"lo","prefsrc":"192.168.77.11","flags":[],"uid":0,"cache":["local"]}]',
  '[{"dst":"192.168.77.16","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","flags":[],"uid":0,"cache":[]}]',
  '[{"dst":"192.168.77.12","lladdr":"C6:a7:29:34:e4:c5","state":["STALE"]},{"dst":"192.168.77.13","state":["FAILED"]},' +
    '{"dst":"192.168.77.99","lladdr":"c6:a7:29:34:e4:c6","state":["REACHABLE"]},' +
    '{"dst":"192.168.78.14","lladdr":"c6:a7:29:34:e4:c7","state":["STALE"]}]',
].join('\n');

it('tells who is on the link, and who of them has answered', () => {
  const asked = ['192.168.77.12', '192.168.77.13', '192.168.78.14', '192.168.80.15', '192.168.77.11', '192.168.77.16'];
  const { onLink, macs } = readAdjacentHosts('eth0', asked, ANSWERS);
  expect([...onLink]).toEqual(['192.168.77.12', '192.168.77.13']);
  expect([...macs]).toEqual([['192.168.77.12', 'c6:a7:29:34:e4:c5']]);
});

it('takes an address without a route for far', () => {
  expect(readAdjacentHosts('eth0', ['192.168.77.12'], '[]\n')).toEqual({ onLink: new Set(), macs: new Map() });
});
