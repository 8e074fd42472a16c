import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RecordingApi } from '../../fixtures/recording-api.ts';

const api = new RecordingApi();

beforeAll(() => api.start());
afterAll(() => api.stop());
beforeEach(() => {
  api.requests.length = 0;
  api.answer = () => ({ body: [] });
});

describe('the first words of a command line', () => {
  const CALLS: { id: string; args: string[]; calls: string[] }[] = [
    { id: 'a noun and its verb', args: ['network', 'ls'], calls: ['GET /networks'] },
    { id: 'a verb by its alias', args: ['network', 'list'], calls: ['GET /networks'] },
    {
      id: 'an alias and an argument that is a verb',
      args: ['network', 'remove', 'ls'],
      calls: ['DELETE /networks/ls'],
    },
    { id: 'a verb and an argument that is a verb', args: ['service', 'rm', 'ls'], calls: ['DELETE /services/ls'] },
    { id: 'a verb and an argument that is a noun', args: ['node', 'rm', 'service'], calls: ['DELETE /nodes/service'] },
    { id: 'a flag before the noun', args: ['--host', '<socket>', 'network', 'ls'], calls: ['GET /networks'] },
    { id: 'a short flag before the noun', args: ['-H', '<socket>', 'network', 'ls'], calls: ['GET /networks'] },
    { id: 'a flag with its value', args: ['-H=<socket>', 'network', 'ls'], calls: ['GET /networks'] },
  ];
  for (const { id, args, calls } of CALLS) {
    it(`may be ${id}`, async () => {
      const ran = await api.run(args.map((word) => word.replace('<socket>', `unix://${api.socket}`)));
      expect(ran).toMatchObject({ status: 0, err: [] });
      expect(api.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(calls);
    });
  }

  const HELP: { id: string; args: string[]; shown: string[] }[] = [
    { id: 'the program', args: ['--help'], shown: ['swarm', 'node', 'network', 'service', 'daemon'] },
    { id: 'a noun', args: ['node', '--help'], shown: ['demote', 'inspect', 'ls', 'promote', 'ps', 'rm', 'update'] },
    { id: 'a noun, asked for by word', args: ['help', 'swarm'], shown: ['ca', 'init', 'join-token', 'unlock-key'] },
    { id: 'a verb', args: ['service', 'create', '--help'], shown: ['--replicas', '--network'] },
  ];
  for (const { id, args, shown } of HELP) {
    it(`show the help of ${id}`, async () => {
      const { status, out } = await api.run(args);
      expect(status).toBe(0);
      for (const word of shown)
        expect(out.join('\n')).toMatch(new RegExp(`^ +${word}\\b|, ${word}\\b|  ${word} `, 'm'));
    });
  }

  const WRONG: { id: string; args: string[]; said: string }[] = [
    { id: 'no noun', args: ['nodes'], said: "waggle: 'nodes' is not a waggle command.\nSee 'waggle --help'." },
    {
      id: 'no verb',
      args: ['node', 'foo'],
      said: "waggle: 'foo' is not a waggle node command.\nSee 'waggle node --help'.",
    },
  ];
  for (const { id, args, said } of WRONG) {
    it(`are told when they are ${id}`, async () => {
      expect(await api.run(args)).toEqual({ status: 1, out: [], err: [said] });
    });
  }
});

describe('a list', () => {
  const network = (Name: string): object => ({ Id: Name, Name, Driver: 'overlay', Scope: 'swarm', Created: '' });

  it('is in natural order and in columns', async () => {
    api.answer = () => ({ body: [network('net10'), network('net2')] });
    expect((await api.run(['network', 'ls'])).out).toEqual([
      'NETWORK ID   NAME      DRIVER    SCOPE',
      'net2         net2      overlay   swarm',
      'net10        net10     overlay   swarm',
    ]);
  });

  it('leaves a wide character the room that it takes', async () => {
    api.answer = () => ({ body: [network('蜂の巣ネット'), network('net2')] });
    expect((await api.run(['network', 'ls'])).out).toEqual([
      'NETWORK ID     NAME           DRIVER    SCOPE',
      'net2           net2           overlay   swarm',
      '蜂の巣ネット   蜂の巣ネット   overlay   swarm',
    ]);
  });
});
