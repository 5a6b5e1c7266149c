import { on } from "/live/client.js";

const people = new Map();

on("__presence:lobby").subscribe(({ event, data }) => {
  if (event === "updated") people.set(data.key, data);
});
