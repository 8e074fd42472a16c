import { expect, test } from 'vitest';
import { controlFixture, rpc, serviceSpec } from './control-fixture.ts';

test.each([
  { id: 'the most replicas', replicas: 50_000, refused: false },
  { id: 'one more', replicas: 50_001, refused: true },
  { id: 'a slip of the finger', replicas: Number.MAX_SAFE_INTEGER, refused: true },
])('$id', async ({ replicas, refused }) => {
  const { control } = await controlFixture();
  const creation = control.createService({
    spec: serviceSpec('web', { Mode: { Replicated: { Replicas: replicas } } }),
  });
  if (!refused) return expect(creation).resolves.toEqual({ ID: 'id1' });
  await expect(creation).rejects.toMatchObject({
    code: 'invalid-argument',
    message: rpc('InvalidArgument', 'Number of replicas must be at most 50000'),
  });
});

test.each([
  { field: 'Mounts.0.Source', container: { Mounts: [{ Source: {} }] } },
  { field: 'Init', container: { Init: 'yes' } },
  { field: 'TTY', container: { TTY: 5 } },
  { field: 'Privileges', container: { Privileges: 5 } },
])('a container spec with a wrong $field is refused before it is stored', async ({ field, container }) => {
  const { control, store } = await controlFixture();
  const spec = serviceSpec('web', {
    TaskTemplate: { ContainerSpec: { Image: 'busybox:1', ...(container as object) } },
  });
  await expect(control.createService({ spec })).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining(`invalid spec: TaskTemplate.ContainerSpec.${field}:`) as string,
  });
  expect(store.view((tx) => [...tx.all('services')])).toEqual([]);
});
