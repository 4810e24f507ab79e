import { expect } from 'vitest';
import type { Datagram, UdpSocket } from '../harness/udp-socket.js';

/** The client's next datagram, as the server sees it. */
export async function expectGreeting(client: UdpSocket, server: UdpSocket): Promise<Datagram> {
  client.send('hello');
  const hello = await server.receive();
  expect(hello.bytes.toString()).toBe('hello');
  return hello;
}

/** A question and its answer; what a flood has left in the server's queue comes before. */
export async function expectExchange(client: UdpSocket, server: UdpSocket): Promise<Datagram> {
  client.send('question');
  let question = await server.receive();
  while (question.bytes.toString() !== 'question') question = await server.receive();
  server.answer(question, 'answer');
  expect((await client.receive()).bytes.toString()).toBe('answer');
  return question;
}
