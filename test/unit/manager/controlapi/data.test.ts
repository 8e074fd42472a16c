import { beforeEach, describe, expect, test } from 'vitest';
import { newService } from '../store/objects.ts';
import { type ControlFixture, controlFixture, rpc, versionOf } from './control-fixture.ts';

let fixture: ControlFixture;
beforeEach(async () => {
  fixture = await controlFixture();
});

const base64 = (bytes: number) => Buffer.alloc(bytes, 1).toString('base64');
const secret = (Name: string, Data = 'eA==') => fixture.control.createSecret({ spec: { Name, Data } });

test('a secret is never read back, a config is', async () => {
  await secret('pw');
  await fixture.control.createConfig({ spec: { Name: 'conf', Data: 'eA==', Labels: { a: 'b' } } });
  const shown = await fixture.control.getSecret({ ref: 'pw' });
  expect(shown['Spec']).toEqual({ Name: 'pw', Labels: {} });
  expect((await fixture.control.listSecrets({ filters: {} }))[0]).toEqual(shown);
  expect((await fixture.control.getConfig({ ref: 'conf' }))['Spec']).toEqual({
    Name: 'conf',
    Data: 'eA==',
    Labels: { a: 'b' },
  });
});

describe('sizes and names', () => {
  const nameText =
    'invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]';
  const sizeText = 'secret data must be larger than 0 and less than 512000 bytes';
  const cases = [
    { id: 'largest', name: 'a', data: base64(511_999), message: undefined },
    { id: 'too large', name: 'a', data: base64(512_000), message: rpc('InvalidArgument', sizeText) },
    { id: 'empty', name: 'a', data: '', message: rpc('InvalidArgument', sizeText) },
    { id: 'dots and dashes', name: 'a.b-c_d', data: 'eA==', message: undefined },
    { id: 'no name', name: '', data: 'eA==', message: rpc('InvalidArgument', 'name must be provided') },
    { id: 'dot at the end', name: 'a.', data: 'eA==', message: rpc('InvalidArgument', nameText) },
    { id: 'long name', name: 'a'.repeat(65), data: 'eA==', message: rpc('InvalidArgument', nameText) },
    { id: 'not base64', name: 'a', data: 'x!', message: 'secret data is not valid base64' },
  ];
  test.each(cases)('$id', async ({ name, data, message }) => {
    const creation = secret(name, data);
    if (message === undefined) await expect(creation).resolves.toEqual({ ID: 'id1' });
    else await expect(creation).rejects.toMatchObject({ code: 'invalid-argument', message });
  });
});

test('a name in use is refused, also by a race', async () => {
  const both = await Promise.allSettled([secret('pw'), secret('PW')]);
  expect(both[0]?.status).toBe('fulfilled');
  expect(both[1]).toMatchObject({ reason: { code: 'already-exists' } });
  await expect(secret('pw')).rejects.toMatchObject({ message: rpc('AlreadyExists', 'secret pw already exists') });
});

describe('updates', () => {
  const refusal = { code: 'invalid-argument', message: rpc('InvalidArgument', 'only updates to Labels are allowed') };
  const cases = [
    { id: 'labels', spec: { Name: 'pw', Labels: { a: 'b' } }, error: undefined },
    { id: 'labels and the same data', spec: { Name: 'pw', Data: 'eA==', Labels: { a: 'b' } }, error: undefined },
    { id: 'other data', spec: { Name: 'pw', Data: 'eQ==' }, error: refusal },
    { id: 'other name', spec: { Name: 'pw2' }, error: refusal },
    {
      id: 'stale',
      spec: { Name: 'pw' },
      version: 0,
      error: { code: 'unknown', message: rpc('Unknown', 'update out of sequence') },
    },
  ];
  test.each(cases)('$id', async ({ spec, version, error }) => {
    await secret('pw');
    const present = versionOf(fixture, 'secrets', 'id1');
    const updating = fixture.control.updateSecret({ ref: 'pw', version: version ?? present, spec });
    if (error !== undefined) return await expect(updating).rejects.toMatchObject(error);
    await updating;
    expect(fixture.store.view((tx) => tx.get('secrets', 'id1')?.Spec)).toEqual({
      Name: 'pw',
      Data: 'eA==',
      Labels: { a: 'b' },
    });
  });
});

test('one that is in use is not removed', async () => {
  await secret('pw');
  const reference = { SecretID: 'id1', SecretName: 'pw' };
  await fixture.store.update((tx) => {
    for (const name of ['web', 'api']) {
      tx.create('services', newService(name, name, { TaskTemplate: { ContainerSpec: { Secrets: [reference] } } }));
    }
  });
  await expect(fixture.control.removeSecret({ ref: 'pw' })).rejects.toMatchObject({
    code: 'invalid-argument',
    message: rpc('InvalidArgument', "secret 'pw' is in use by the following services: api, web"),
  });
  await fixture.store.update((tx) => {
    tx.remove('services', 'web');
    tx.remove('services', 'api');
  });
  await expect(fixture.control.removeSecret({ ref: 'pw' })).resolves.toEqual({});
  await expect(fixture.control.getSecret({ ref: 'pw' })).rejects.toMatchObject({ message: 'secret pw not found' });
});

test('filters: names are exact for secrets and unknown for configs', async () => {
  await secret('pw');
  await secret('pw2');
  const list = async (filters: Record<string, string[]>) =>
    (await fixture.control.listSecrets({ filters })).map((row) => (row['Spec'] as { Name: string }).Name);
  expect(await list({ name: ['pw'] })).toEqual(['pw', 'pw2']);
  expect(await list({ names: ['pw'] })).toEqual(['pw']);
  await expect(fixture.control.listConfigs({ filters: { names: ['pw'] } })).rejects.toMatchObject({
    message: "Invalid filter 'names'",
  });
});
