import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authHeader, registryAuth, registryOf } from '../../../cli/registry-auth.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'waggle-auth-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const configure = (config: object): void => writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
const decode = (header: string | undefined): unknown => JSON.parse(Buffer.from(header ?? '', 'base64url').toString());

describe('registryOf', () => {
  const HUB = 'https://index.docker.io/v1/';
  const CASES = [
    { id: 'plain name', image: 'nginx', expected: HUB },
    { id: 'name and tag', image: 'nginx:1.27', expected: HUB },
    { id: 'team on the hub', image: 'team/app', expected: HUB },
    { id: 'host with port', image: 'reg:5000/app', expected: 'reg:5000' },
    { id: 'host with dots', image: 'reg.example/team/app:1', expected: 'reg.example' },
    { id: 'localhost', image: 'localhost/app', expected: 'localhost' },
  ];
  for (const { id, image, expected } of CASES) it(id, () => expect(registryOf(image)).toBe(expected));
});

describe('registryAuth', () => {
  it('is what docker login has stored for the registry of the image', () => {
    configure({ auths: { 'reg:5000': { auth: Buffer.from('me:se:cret').toString('base64') } } });
    const expected = { username: 'me', password: 'se:cret', serveraddress: 'reg:5000' };
    expect(decode(registryAuth('reg:5000/app', folder))).toEqual(expected);
    expect(decode(authHeader('reg:5000/app', { DOCKER_CONFIG: folder })['X-Registry-Auth'])).toEqual(expected);
    expect(registryAuth('other:5000/app', folder)).toBeUndefined();
  });

  it('is nothing when nobody has logged in', () => {
    expect(registryAuth('reg:5000/app', folder)).toBeUndefined();
    expect(authHeader('reg:5000/app', { DOCKER_CONFIG: folder })).toEqual({});
  });

  it('refuses what it cannot read, and says why', () => {
    configure({ credsStore: 'pass' });
    expect(() => registryAuth('reg:5000/app', folder)).toThrow('credential helper');
    writeFileSync(path.join(folder, 'config.json'), '{');
    expect(() => registryAuth('reg:5000/app', folder)).toThrow('is not JSON');
  });
});
