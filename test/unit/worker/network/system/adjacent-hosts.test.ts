import { expect, it } from 'vitest';
import { readAdjacentHosts } from '../../../../../worker/network/system/adjacent-hosts.ts';

/** From iproute2 6.1, of hosts of both families: a line for each `route get` that was answered, then one for `neigh show`. */
const ANSWERS = [
  '[{"dst":"192.168.77.12","dev":"eth0","prefsrc":"192.168.77.11","flags":[],"uid":0,"cache":[]}]',
  '[{"dst":"192.168.77.13","dev":"eth0","prefsrc":"192.168.77.11","flags":[],"uid":0,"cache":[]}]',
  '[{"dst":"192.168.78.14","gateway":"192.168.77.1","dev":"eth0","prefsrc":"192.168.77.11","flags":[],"uid":0,"cache":[]}]',
  '[{"dst":"192.168.80.15","dev":"eth1","prefsrc":"192.168.80.11","flags":[],"uid":0,"cache":[]}]',
  '[{"type":"local","dst":"192.168.77.11","dev":"lo","prefsrc":"192.168.77.11","flags":[],"uid":0,"cache":["local"]}]',
  '[{"dst":"192.168.77.16","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","flags":[],"uid":0,"cache":[]}]',
  '[{"dst":"fd00:78::2","dev":"eth0","protocol":"kernel","prefsrc":"fd00:78::1","metric":256,"flags":[],"pref":"medium"}]',
  '[{"dst":"fd00:78::3","dev":"eth0","protocol":"kernel","prefsrc":"fd00:78::1","metric":256,"flags":[],"pref":"medium"}]',
  '[{"dst":"fd00:99::4","gateway":"fd00:78::f","dev":"eth0","prefsrc":"fd00:78::1","metric":1024,"flags":[],"pref":"medium"}]',
  '[{"dst":"fd00:78::2","lladdr":"c6:a7:29:34:e4:d2","state":["REACHABLE"]},{"dst":"fd00:78::3","state":["INCOMPLETE"]},' +
    '{"dst":"fe80::1","lladdr":"c6:a7:29:34:e4:d2","router":null,"state":["STALE"]},' +
    '{"dst":"192.168.77.12","lladdr":"C6:a7:29:34:e4:c5","state":["STALE"]},{"dst":"192.168.77.13","state":["FAILED"]},' +
    '{"dst":"192.168.77.99","lladdr":"c6:a7:29:34:e4:c6","state":["REACHABLE"]},' +
    '{"dst":"192.168.78.14","lladdr":"c6:a7:29:34:e4:c7","state":["STALE"]}]',
].join('\n');

const IPV4 = ['192.168.77.12', '192.168.77.13', '192.168.78.14', '192.168.80.15', '192.168.77.11', '192.168.77.16'];
const IPV6 = ['fd00:78::2', 'fd00:78::3', 'fd00:99::4'];

it('tells who is on the link, who has been heard of there, and who is to be asked again', () => {
  const { onLink, macs, stale } = readAdjacentHosts('eth0', [...IPV4, ...IPV6], ANSWERS);
  expect([...onLink]).toEqual(['192.168.77.12', '192.168.77.13', 'fd00:78::2', 'fd00:78::3']);
  expect([...macs]).toEqual([
    ['fd00:78::2', 'c6:a7:29:34:e4:d2'],
    ['192.168.77.12', 'c6:a7:29:34:e4:c5'],
    ['192.168.78.14', 'c6:a7:29:34:e4:c7'],
  ]);
  expect([...stale]).toEqual(['192.168.77.12', '192.168.77.13', '192.168.78.14']);
});

it('has a host that was never asked for to be asked', () => {
  const line = '[{"dst":"fd00:78::2","dev":"eth0","flags":[]}]';
  const { onLink, macs, stale } = readAdjacentHosts('eth0', ['fd00:78::2'], `${line}\n[]`);
  expect([[...onLink], [...macs], [...stale]]).toEqual([['fd00:78::2'], [], ['fd00:78::2']]);
});

it('takes an address without a route for far', () => {
  const nobody = { onLink: new Set(), macs: new Map(), stale: new Set() };
  expect(readAdjacentHosts('eth0', ['192.168.77.12'], '[]\n')).toEqual(nobody);
});
